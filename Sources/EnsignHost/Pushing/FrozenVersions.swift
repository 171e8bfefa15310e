package import EnsignGit
package import EnsignModel

/// Released versions never change once the branch has them.
///
/// Decided from git alone, by comparing two trees; what is equal is not read. A version may be deleted: if a deployment
/// still names it, checking the manifests says so.
package enum FrozenVersions {
    /// What a new tree changes in versions that the old tree already has.
    package static func violations(
        from old: ObjectID,
        to new: ObjectID,
        repository: Repository
    ) throws -> [Finding] {
        let changes = try repository.differences(from: old, to: new) { path in
            path == "fleet" || path == "fleet/agents" || path == "fleet/tools" || path.hasPrefix("fleet/agents/")
                || path.hasPrefix("fleet/tools/")
        }
        var findings: [Finding] = []
        for change in changes {
            let parts = change.path.split(separator: "/").map(String.init)
            // fleet/ itself may have become a file: that is a finding of its own.
            guard parts.count > 1 else { continue }
            if parts[1] == "agents", parts.count >= 6, let version = SemanticVersion(parts[4]) {
                let folder = parts[0..<5].joined(separator: "/")
                // A new version, or one that is gone, changes nothing that was released.
                guard try repository.entry(at: folder, in: old) != nil,
                    try repository.entry(at: folder, in: new) != nil
                else { continue }
                let what =
                    change.before == nil
                    ? "a file is added" : change.after == nil ? "a file is removed" : "this file changes"
                findings.append(
                    Finding(
                        code: "frozen-version",
                        "version \(version) is released and never changes: \(what)",
                        path: change.path,
                        hint:
                            "edit \(parts[0..<4].joined(separator: "/"))/next and release it: ensign release \(parts[2])/\(parts[3]) X.Y.Z"
                    )
                )
            } else if parts[1] == "tools", parts.count == 4, change.before != nil, change.after != nil,
                parts[3].hasSuffix(".yaml")
            {
                findings.append(
                    Finding(
                        code: "frozen-version",
                        "version \(parts[3].dropLast(5)) of tool '\(parts[2])' is released and never changes",
                        path: change.path,
                        hint: "add a new version beside it"
                    )
                )
            }
        }
        return findings.sorted()
    }
}
