package import EnsignModel

/// The version that an imported tool gets.
package enum ImportedVersion {
    /// The version of a new tool: what the server says, if that is SemVer.
    package static func first(_ claimed: String?) -> (version: SemanticVersion, decision: ImportDecision?) {
        guard let claimed, !claimed.isEmpty else {
            let decision = ImportDecision(.guess, "version", "the source names none; it is 0.1.0")
            return (.first, decision)
        }
        if let version = SemanticVersion(claimed) {
            let why = "\(version) is what the source says; some servers give the version of their SDK"
            return (version, ImportDecision(.look, "version", why))
        }
        let bare = claimed.hasPrefix("v") || claimed.hasPrefix("V") ? String(claimed.dropFirst()) : claimed
        if let version = SemanticVersion(bare) {
            return (version, ImportDecision(.guess, "version", "the source says '\(claimed)'; it is \(version)"))
        }
        let decision = ImportDecision(
            .guess,
            "version",
            "the source says '\(claimed)', which is not SemVer; it is 0.1.0"
        )
        return (.first, decision)
    }

    /// The version of a tool that goes on from a released one: what the source says if that is greater, else the next
    /// minor.
    package static func next(after newest: SemanticVersion, _ claimed: String?) -> SemanticVersion {
        if let version = claimed.flatMap({ SemanticVersion($0) }), newest < version { return version }
        return newest.nextMinor
    }
}
