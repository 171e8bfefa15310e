/// The settings that a command line may give for one call: those that Ensign reads, and those of git by which commits are
/// made. Any other would be accepted and change nothing.
package enum SettingsForOneCall {
    /// Of the whole clone.
    private static let own = ["branch", "client", "environments", "interval", "notify", "notifyTimeout", "remote"]
    /// Of an environment.
    private static let ofEnvironment = ["firstKey", "gateway", "prometheus", "signingKey", "target", "telemetry"]
    /// Of git, which gets them with each of its commands.
    private static let ofGit = [
        "user.name", "user.email", "user.signingKey", "author.name", "author.email", "committer.name",
        "committer.email", "commit.gpgSign", "gpg.format", "gpg.program", "gpg.openpgp.program", "gpg.ssh.program",
        "gpg.ssh.defaultKeyCommand", "gpg.x509.program",
    ]

    /// Whether something reads a key, which is compared as git does.
    package static func isRead(_ key: String) -> Bool {
        let key = Settings.normalized(key)
        guard key.hasPrefix("ensign.") else { return isOfGit(key) }
        let parts = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 2 else { return own.contains { $0.lowercased() == parts[1] } }
        return ofEnvironment.contains { $0.lowercased() == parts[parts.count - 1] }
    }

    /// Whether git reads a key, in lower case, when it makes a commit.
    static func isOfGit(_ key: String) -> Bool { ofGit.contains { $0.lowercased() == key } }

    /// The keys that there are; of environments, for the one that a key names.
    package static func names(like key: String) -> [String] {
        let parts = key.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.first?.lowercased() == "ensign", parts.count > 2 else {
            return own.map { "ensign.\($0)" } + ofGit
        }
        let environment = parts.dropFirst().dropLast().joined(separator: ".")
        return ofEnvironment.map { "ensign.\(environment).\($0)" }
    }
}
