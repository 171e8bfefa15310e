package import EnsignLedger
import EnsignModel

/// The operator's settings: git config of this clone, never anything that a push brings. docs/settings.md.
package struct Settings: Sendable, Hashable {
    private let values: [String: String]

    /// - Parameters:
    ///   - configuration: Git's, with section and key in lower case as git gives them.
    ///   - overrides: From `-c key=value`, which win.
    /// - Throws: ``SettingsError`` for `ensign.client` that is not a boolean: a clone that should never reconcile must not
    ///   begin to.
    package init(configuration: [String: String], overrides: [(key: String, value: String)] = []) throws(SettingsError)
    {
        var values = configuration.filter { $0.key.hasPrefix("ensign.") }
        for (key, value) in overrides { values[Self.normalized(key)] = value }
        self.values = values
        isClient =
            try values["ensign.client"].map { (text) throws(SettingsError) in
                try GitConfiguration.bool("ensign.client", text)
            } ?? false
    }

    /// Git compares section and variable names without case, and subsections with it.
    static func normalized(_ key: String) -> String {
        guard let first = key.firstIndex(of: "."), let last = key.lastIndex(of: ".") else { return key.lowercased() }
        return key[..<first].lowercased() + key[first..<last] + key[last...].lowercased()
    }

    /// The branch that is desired state; `refs/heads/main` is written for `main`, too.
    package var branch: String {
        let text = values["ensign.branch"] ?? "main"
        let (prefix, rest) = (Self.branches, text.dropFirst(Self.branches.count))
        return text.hasPrefix(prefix) && !rest.isEmpty ? String(rest) : text
    }

    private static let branches = "refs/heads/"

    /// Whether somebody has named the branch.
    package var namesBranch: Bool { values["ensign.branch"] != nil }

    /// The environments that this clone reconciles; nil for all.
    package var environments: [String]? { environmentWords?.filter { Name.isValid($0) } }

    /// The same as they are written.
    var environmentWords: [String]? {
        values["ensign.environments"].map {
            $0.split(whereSeparator: { $0 == "," || $0.isWhitespace }).map(String.init)
        }
    }

    /// The remote whose branch is desired state, for a clone of a forge. Without secrets, where somebody has written an
    /// address: it is shown.
    package var remote: String? { values["ensign.remote"]?.withoutCredentials }

    /// How often the remote is fetched.
    package var interval: String? { values["ensign.interval"] }

    /// A command for the operator's notifications.
    package var notify: String? { values["ensign.notify"] }

    /// How long that command may take.
    package var notifyTimeout: String? { values["ensign.notifytimeout"] }

    /// Whether this is a developer's clone, which never reconciles.
    package let isClient: Bool

    /// The ref that is desired state.
    package var desiredRef: String { remote.map { "refs/remotes/\($0)/\(branch)" } ?? "\(Self.branches)\(branch)" }

    /// Throws ``SettingsError`` when no git can have a ref of that name.
    package func checkDesiredRef() throws(SettingsError) {
        if let remote, !RefName.isValid(remote) {
            throw SettingsError(
                key: "ensign.remote",
                why: "'\(remote)' is not the name of a remote: 'git remote' lists them, 'git remote add' makes one"
            )
        }
        guard RefName.isValid(branch) else {
            throw SettingsError(key: "ensign.branch", why: "'\(branch)' is not the name of a branch")
        }
    }

    package func signingKey(_ environment: String, _ files: LedgerFiles) -> String {
        values["ensign.\(environment).signingkey"] ?? files.key(environment)
    }

    /// The directory in which runtimes write telemetry; nil when none is set.
    ///
    /// - Throws: ``SettingsError`` when it is not an absolute path.
    package func telemetry(_ environment: String) throws(SettingsError) -> String? {
        guard let value = values["ensign.\(environment).telemetry"], !value.isEmpty else { return nil }
        guard value.hasPrefix("/") else {
            throw SettingsError(
                key: "ensign.\(environment).telemetry",
                why: "'\(value)' is not an absolute path to a directory"
            )
        }
        var path = value[...]
        while path.count > 1, path.hasSuffix("/") { path = path.dropLast() }
        return String(path)
    }

    /// The base URL of the Prometheus server by which canaries are judged; nil when none is set.
    package func prometheus(_ environment: String) -> String? {
        guard let value = values[Self.prometheusKey(environment)], !value.isEmpty else { return nil }
        return value
    }

    /// Where the gateway of an environment runs, in the operator's words; nil where none enforces what bundles say.
    package func gateway(_ environment: String) -> String? {
        guard let value = values["ensign.\(environment).gateway"], !value.isEmpty else { return nil }
        return value
    }

    /// The first key of an environment's ledger that another clone writes: `SHA256:...`, or a line of `ensign keys`.
    package func firstKey(_ environment: String) -> String? { values["ensign.\(environment).firstkey"] }

    package static func prometheusKey(_ environment: String) -> String { "ensign.\(environment).prometheus" }

    /// What is wrong with the setting of an environment's live directory; nil when nothing is.
    package func targetProblem(_ environment: String, _ files: LedgerFiles) -> SettingsError? {
        do throws(SettingsError) {
            _ = try directory(environment, files)
            return nil
        } catch {
            return error
        }
    }

    /// The live directory of an environment.
    ///
    /// - Throws: ``SettingsError`` when this Ensign does not know the target.
    package func directory(_ environment: String, _ files: LedgerFiles) throws(SettingsError) -> String {
        guard let target = values["ensign.\(environment).target"] else { return files.live(environment) }
        guard target.hasPrefix("directory:") else {
            throw SettingsError(
                key: "ensign.\(environment).target",
                why: "'\(target)' is not a target that this Ensign knows: write directory:/absolute/path"
            )
        }
        var path = target.dropFirst("directory:".count)
        while path.count > 1, path.hasSuffix("/") { path = path.dropLast() }
        guard path.hasPrefix("/"), path != "/" else {
            throw SettingsError(
                key: "ensign.\(environment).target",
                why: "'\(path)' is not an absolute path to a directory"
            )
        }
        guard !["proc", "sys"].contains(path.split(separator: "/").first) else {
            throw SettingsError(
                key: "ensign.\(environment).target",
                why: "'\(path)' is the kernel's: no files go there"
            )
        }
        return String(path)
    }
}

/// A setting in git config that cannot be used.
package struct SettingsError: Error, Sendable, Hashable, CustomStringConvertible {
    package let key: String
    /// Without what may be secret in the value.
    package let why: String

    package init(key: String, why: String) { (self.key, self.why) = (key, why.withoutCredentials) }

    package var description: String { "git config \(key): \(why)" }
}
