import EnsignCommandLine
import EnsignHost
import EnsignManifest
import EnsignModel

extension Verb.Group {
    static let declare = Verb.Group("Declare")
    static let apply = Verb.Group("Apply")
    static let ask = Verb.Group("Ask")
    static let record = Verb.Group("The record")
    static let setUp = Verb.Group("Set up")
}

extension Option {
    static let environment = Option(
        name: "env",
        summary: "Name the environment",
        value: "ENV",
        kind: .environment,
        isRequired: true
    )

    static let anyEnvironment = Option(
        name: "env",
        summary: "Name the environment; all of them if left out",
        value: "ENV",
        kind: .environment
    )

    static let reason = Option(name: "reason", summary: "Say why, for the record", value: "TEXT")

    /// Options that every verb takes.
    static let common: [Option] = [
        Option(name: "repo", summary: "Work on the repository at DIR instead of here", value: "DIR", kind: .file),
        Option(
            name: "config",
            short: "c",
            summary: "Set a setting of Ensign, or of git for commits, for this call",
            value: "KEY=VALUE",
            kind: .setting,
            isRepeatable: true,
            slip: { SettingsForOneCall.slip($0) }
        ),
        .quiet, .noColour, .help,
    ]
}

extension Invocation {
    /// `-c key=value` settings.
    var overrides: [(key: String, value: String)] {
        all("config").map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "true")
        }
    }
}

extension SettingsForOneCall {
    /// What is wrong with `KEY=VALUE`, and a hint; nil where something reads the key.
    fileprivate static func slip(_ text: String) -> (message: String, hint: String?)? {
        let key = String(text.prefix { $0 != "=" })
        guard !isRead(key) else { return nil }
        let nearest = Suggestion.nearest(to: key, in: names(like: key)).map { "did you mean '\($0)'?" }
        return (
            "nothing that Ensign does reads the setting '\(key.onOneLine)'",
            nearest ?? "docs/settings.md lists those of Ensign; of git's it takes those of commits, such as user.name"
        )
    }
}
