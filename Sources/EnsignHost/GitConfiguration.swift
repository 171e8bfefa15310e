package import EnsignGit
import EnsignSystem

/// Git's configuration as git itself shows it.
///
/// libgit2 reads the files; starting git takes as long as everything else that a command does. Git is asked where libgit2
/// does not know what git knows: files that the environment names, settings in it, those of one work tree alone, and some
/// conditions of `includeIf`.
package struct GitConfiguration: Sendable {
    /// By name, section and key in lower case; the last value of each.
    package private(set) var values: [String: String]
    /// Those that no repository can bring: of the machine, of the account, of the environment. Git takes `safe.*` from
    /// them alone (config.c, `git_protected_config`).
    package private(set) var protected: [String: String]

    package static func read(_ repository: Repository) throws -> GitConfiguration {
        let scopes = Scopes()
        let entries = try repository.configurationEntries()
        guard scopes.needGit || entries.contains(where: { isConditional($0.name) || bringsWorkTreeFile($0) }) else {
            return GitConfiguration(entries.filter { !scopes.without.contains($0.scope) })
        }
        return GitConfiguration(try ask(repository, scopes))
    }

    private init(_ entries: [ConfigurationEntry]) {
        // Later ones override earlier ones, as in git.
        values = Dictionary(entries.map { ($0.name, $0.value) }) { $1 }
        protected = Dictionary(
            entries.filter { $0.scope != .repository }.map { ($0.name, $0.value) }
        ) { $1 }
    }

    /// The same with values of the command line, which win.
    func setting(_ overrides: [(key: String, value: String)]) -> GitConfiguration {
        var configuration = self
        for (key, value) in overrides { configuration.values[Settings.normalized(key)] = value }
        return configuration
    }

    /// A boolean; nil when it is not set.
    ///
    /// - Throws: ``SettingsError`` when it is not a boolean.
    package func bool(_ key: String) throws(SettingsError) -> Bool? {
        try values[key].map { (text) throws(SettingsError) in try Self.bool(key, text) }
    }

    static func bool(_ key: String, _ text: String) throws(SettingsError) -> Bool {
        guard let value = GitBoolean.value(text) else {
            throw SettingsError(key: key, why: "'\(text)' is not true or false")
        }
        return value
    }

    /// Whether git reads a file that libgit2 does not: `config.worktree`. Of what is no boolean git says so itself.
    private static func bringsWorkTreeFile(_ entry: ConfigurationEntry) -> Bool {
        entry.name == Repository.workTreeExtension && GitBoolean.value(entry.value) != false
    }

    /// Whether an include depends on what libgit2 does not decide as git does: everything but a plain folder.
    private static func isConditional(_ name: String) -> Bool {
        guard name.hasPrefix("includeif."), name.hasSuffix(".path") else { return false }
        let condition = name.dropFirst("includeif.".count).dropLast(".path".count)
        for prefix in ["gitdir:", "gitdir/i:"] where condition.hasPrefix(prefix) {
            let pattern = condition.dropFirst(prefix.count)
            return !(pattern.hasPrefix("/") || pattern.hasPrefix("~/")) || pattern.contains { "*?[\\".contains($0) }
        }
        return true
    }

    // MARK: What the environment says

    /// Git's variables that name other files (git(1), git-config(1)).
    private struct Scopes {
        /// What does not count.
        var without: Set<ConfigurationEntry.Scope> = []
        var needGit = false
        /// Whether `GIT_CONFIG_COUNT` is a number; git dies of any other.
        var hasCount = false
        /// Whether `git -c` has set something for the programs that it starts, `'key'='value'`; git dies of any other form.
        var hasParameters = false

        init() {
            for (name, scope) in [("GIT_CONFIG_SYSTEM", .system), ("GIT_CONFIG_GLOBAL", .account)]
                as [(String, ConfigurationEntry.Scope)]
            {
                guard let file = Machine.environment(name) else { continue }
                if file.isEmpty || file == "/dev/null" { without.insert(scope) } else { needGit = true }
            }
            if Machine.environment("GIT_CONFIG_NOSYSTEM").flatMap(GitBoolean.value) == true { without.insert(.system) }
            if let count = Machine.environment("GIT_CONFIG_COUNT").flatMap({ Int($0) }), count > 0 {
                (needGit, hasCount) = (true, true)
            }
            if Machine.environment("GIT_CONFIG_PARAMETERS")?.hasPrefix("'") == true {
                (needGit, hasParameters) = (true, true)
            }
        }
    }

    private static func ask(_ repository: Repository, _ scopes: Scopes) throws -> [ConfigurationEntry] {
        var environment = Git.withoutRepository
        // Of another repository's hook is only what git itself hands to its children.
        if scopes.hasCount { environment["GIT_CONFIG_COUNT"] = nil }
        if scopes.hasParameters { environment["GIT_CONFIG_PARAMETERS"] = nil }
        environment["LC_ALL"] = "C"
        let arguments = ["--git-dir", repository.gitDirectory, "config", "--list", "-z", "--show-scope"]
        let outcome = try Subprocess("git", arguments, environment: environment, deadline: .seconds(20)).run()
        guard outcome.status == 0 else {
            let why = outcome.errorText.split(separator: "\n").first.map(String.init)
            throw Git.CommandFailure(
                command: "config --list",
                status: outcome.status,
                reason: outcome.timedOut ? "no answer in 20 s" : why ?? "status \(outcome.status)"
            )
        }
        return entries(outcome.output)
    }

    /// `<scope> NUL <key> [LF <value>] NUL`, again and again.
    private static func entries(_ output: [UInt8]) -> [ConfigurationEntry] {
        let parts = output.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        return stride(from: 0, to: parts.count - 1, by: 2).map { index in
            let (scope, text) = (parts[index], parts[index + 1])
            let end = text.firstIndex(of: "\n")
            return ConfigurationEntry(
                name: String(text[..<(end ?? text.endIndex)]),
                value: end.map { String(text[text.index(after: $0)...]) } ?? "true",
                scope: scope == "system" ? .system : scope == "local" || scope == "worktree" ? .repository : .account
            )
        }
    }
}
