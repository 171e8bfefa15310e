import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignImport
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignSystem

/// Where an imported tool goes: which version is continued, which file is written.
struct ToolDestination {
    let invocation: Invocation
    private let scaffold: Scaffold
    private var fleet: Fleet { scaffold.fleet }
    /// What is released: what the branch has, or where there is no branch, as in a checkout of one commit, what that commit
    /// has. Nil without a repository or a commit.
    private let released: Fleet?

    init(_ invocation: Invocation) throws {
        scaffold = try Scaffold(invocation)
        self.invocation = invocation
        if !invocation.has("check") { _ = try scaffold.place(of: RepositoryPath.tools) }
        released = try scaffold.site.flatMap { try Self.released($0, invocation) }
    }

    private static func released(_ site: Site, _ invocation: Invocation) throws -> Fleet? {
        if try site.desiredCommit() != nil { return try site.fleet(at: nil, today: invocation.today).fleet }
        guard try site.repository.reference("HEAD") != nil else { return nil }
        return try site.fleet(at: "HEAD", today: invocation.today).fleet
    }

    /// The team that is to own what is new. One that `--team` names may be new, too.
    func owner() throws -> String {
        if let named = invocation["team"] {
            try scaffold.requireName(named)
            try scaffold.refuseSlip(in: named)
            return named
        }
        let teams = try fleet.names(in: "teams", files: true)
        guard let only = teams.first, teams.count == 1 else {
            throw UsageError(
                message: "there \(teams.isEmpty ? "is no team yet" : "are several teams"): name the owner with --team",
                hint: teams.isEmpty
                    ? "'--team NAME' declares the team, too" : "teams: \(teams.prefix(8).joined(separator: ", "))",
                verb: invocation.verb.name
            )
        }
        return only
    }

    /// Finds out whether a tool would have an owner: before its source is started or asked.
    func requireOwner(of tool: String) throws {
        if try fleet.toolVersions(tool).isEmpty { _ = try owner() }
    }

    /// Declares the owner of what was imported, if it is new.
    ///
    /// - Returns: What is to be looked at then; nil for a team that is there.
    func declare(_ team: String) throws -> ImportDecision? {
        let path = RepositoryPath.team(team)
        // Of the next of several sources the file is there already.
        guard try !fleet.names(in: "teams", files: true).contains(team), !has(path) else { return nil }
        let isWritten = try put(path, Array(ManifestTemplate.smallTeam(member: scaffold.member).utf8))
        let why = "\(path) \(isWritten ? "is new" : "would be new"): say who its members are"
        return ImportDecision(.look, "team", why)
    }

    /// Those that `--only` names; all without it.
    private func wanted(_ offered: [OfferedOperation]) throws -> [OfferedOperation] {
        let only = invocation.all("only")
        guard !only.isEmpty else { return offered }
        func takes(_ pattern: String, _ name: String) -> Bool {
            pattern.hasSuffix("*") ? name.hasPrefix(pattern.dropLast()) : name == pattern
        }
        // A pattern for nothing is a typo.
        if let idle = only.first(where: { pattern in !offered.contains { takes(pattern, $0.name) } }) {
            let names = offered.map(\.name)
            throw Failure(
                message: "the source has no operation \(idle.quoted(utf8: 130))",
                hints: [Suggestion.hint(for: idle, among: names, plural: "operations") ?? ""],
                code: .invalid
            )
        }
        return offered.filter { operation in only.contains { takes($0, operation.name) } }
    }

    /// Brings a tool to what a source offers.
    func bring(
        _ name: String,
        _ all: [OfferedOperation],
        version: String?,
        origin: String,
        description: String?,
        server: JSONValue?
    ) throws -> ImportOutcome {
        let offered = try wanted(all)
        let newest = try fleet.toolVersions(name).last
        let present = try newest.map { (version: $0, text: try text(of: name, $0)) }
        let (target, versionDecision) = try target(name, newest, version)
        let owner = present == nil ? try owner() : ""
        let source = ToolImport.Source(owner: owner, description: description, server: server, origin: origin)
        let result: ToolImport
        do {
            result = try ToolImport(offered, of: source, existing: present?.text)
        } catch {
            let path = newest.map { RepositoryPath.tool(name, $0) } ?? name
            throw Failure(message: "\(path) cannot be continued: \(error.description)", code: .invalid)
        }
        // The operations can be declared: each was looked at alone.
        if server != nil, present == nil, let text = result.text, let first = problems(of: text, name, target).first {
            var bare = try bring(name, all, version: version, origin: origin, description: description, server: nil)
            let why = "how it is reached is left out of the manifest: \(first.message) [\(first.code)]"
            bare.decisions.insert(ImportDecision(.leftOut, "server", why), at: 0)
            return bare
        }
        var outcome = ImportOutcome(name: name, path: nil, state: .refused)
        outcome.differences = result.differences
        outcome.decisions = (versionDecision.map { [$0] } ?? []) + result.decisions
        if present == nil, let doubt = Self.doubt(of: server) { outcome.decisions.append(doubt) }
        guard let text = result.text else { return outcome }
        if let present {
            let path = RepositoryPath.tool(name, present.version)
            if let kept = Self.kept(present.text, path, server) { outcome.decisions.append(kept) }
            if result.differences.isEmpty { return unchanged(name, present, outcome) }
        }
        outcome = try write(text, name, target, continuing: present, outcome)
        if present == nil, outcome.state != .refused, let new = try declare(owner) { outcome.decisions.append(new) }
        return outcome
    }

    /// A manifest that says what its source offers; refused where it is none.
    private func unchanged(
        _ name: String,
        _ present: (version: SemanticVersion, text: String),
        _ draft: ImportOutcome
    ) -> ImportOutcome {
        let path = RepositoryPath.tool(name, present.version)
        let wrong = problems(of: present.text, name, present.version).filter { $0.severity == .error }
        guard wrong.isEmpty else { return refused(wrong, draft, path) }
        var outcome = draft
        (outcome.path, outcome.state) = (path, .unchanged)
        return outcome
    }

    /// What somebody must look at about how a new tool is reached; nil for nothing.
    private static func doubt(of server: JSONValue?) -> ImportDecision? {
        guard let server else {
            let why = "how the runtime reaches it is not known: add server.mcp with its command or address"
            return ImportDecision(.look, "server", why)
        }
        return ownPath(server).map { path in
            let why =
                "its command has a path of this machine or folder, \(path.quoted(utf8: 100)): others start it elsewhere"
            return ImportDecision(.look, "server", why)
        }
    }

    /// That a manifest keeps another way to its server than the one that was asked; nil when it does not.
    private static func kept(_ manifest: String, _ path: String, _ server: JSONValue?) -> ImportDecision? {
        guard let asked = server.flatMap(reach),
            let named = ManifestLoader.load(Tool.self, Array(manifest.utf8), path: path).value?.server.flatMap(reach),
            named != asked
        else { return nil }
        let why = "\(path) names another command or address than the one that was asked, and keeps it"
        return ImportDecision(.look, "server", why)
    }

    /// How a server is reached; nil where that is not said.
    private static func reach(_ server: JSONValue) -> JSONValue? {
        guard let mcp = server["mcp"], let reach = mcp["command"] ?? mcp["url"] else { return nil }
        return reach
    }

    /// What is there is no manifest: nothing can be said of it, and nothing is written over it.
    private func refused(_ findings: [Finding], _ draft: ImportOutcome, _ path: String) -> ImportOutcome {
        var outcome = draft
        (outcome.path, outcome.state) = (path, .refused)
        outcome.decisions += findings.prefix(20).map { finding in
            let place = "\(path):\(finding.position.line):\(finding.position.column)"
            return ImportDecision(.leftOut, place, "\(finding.message) [\(finding.code)]")
        }
        return outcome
    }

    /// A path in a server's command that leads to something only here: one of somebody's own, or a script's that begins
    /// where the client was started.
    private static func ownPath(_ server: JSONValue) -> String? {
        let own = ["./", "../", "~/", "/home/", "/root/", "/Users/", "/tmp/"]
        let scripts = [".py", ".js", ".mjs", ".cjs", ".ts", ".sh", ".jar"]
        return server["mcp"]?["command"]?.array?.lazy.compactMap(\.string).first { word in
            let isDrive = word.dropFirst().hasPrefix(":/") || word.dropFirst().hasPrefix(":\\")
            let isScript = scripts.contains { word.hasSuffix($0) } && !"/-@".contains(word.first ?? "-")
            return isDrive || isScript && !word.contains("://") || own.contains { word.hasPrefix($0) }
        }
    }

    /// The version that is written: the newest one here while it is nobody's yet, else one beyond all that are released. A
    /// released version that was deleted here is frozen as the others are.
    private func target(
        _ name: String,
        _ newest: SemanticVersion?,
        _ claimed: String?
    ) throws -> (SemanticVersion, ImportDecision?) {
        let frozen = try released?.toolVersions(name) ?? []
        guard let last = frozen.last else { return newest.map { ($0, nil) } ?? ImportedVersion.first(claimed) }
        if let newest, last < newest { return (newest, nil) }
        let target = ImportedVersion.next(after: last, claimed)
        guard newest != last else { return (target, nil) }
        let why = "\(last) is released and not here: its number is taken, so this is \(target)"
        return (target, ImportDecision(.look, "version", why))
    }

    func has(_ path: String) -> Bool { (try? scaffold.has(path)) ?? false }

    func bytes(_ path: String) -> [UInt8]? { fleet.source(path) }

    /// Writes a file, unless only a check is wanted.
    ///
    /// - Returns: Whether it was written.
    func put(_ path: String, _ bytes: [UInt8]) throws -> Bool {
        guard !invocation.has("check") else { return false }
        let place = try scaffold.place(of: path)
        if let folder = Files.parent(of: place) {
            try Files.makeDirectories(folder, mode: nil)
            Files.removeLeftovers(in: folder, now: invocation.now)
        }
        try Files.replace(place, with: bytes, mode: nil)
        return true
    }

    private func text(of name: String, _ version: SemanticVersion) throws -> String {
        let path = RepositoryPath.tool(name, version)
        guard let bytes = fleet.source(path), let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(message: "\(path) cannot be read")
        }
        return text
    }

    /// What a new manifest cannot have. A secret is a warning in a released version, and this one is new.
    private func problems(of text: String, _ name: String, _ version: SemanticVersion) -> [Finding] {
        let path = RepositoryPath.tool(name, version)
        let loaded = ManifestLoader.load(
            Tool.self,
            Array(text.utf8),
            path: path,
            name: name,
            version: version.description
        )
        return loaded.findings.filter { $0.severity == .error || $0.code == Finding.secret }
    }

    /// Writes the manifest, if it is one: nothing that does not validate is left behind.
    private func write(
        _ text: String,
        _ name: String,
        _ version: SemanticVersion,
        continuing old: (version: SemanticVersion, text: String)?,
        _ draft: ImportOutcome
    ) throws -> ImportOutcome {
        var outcome = draft
        let path = RepositoryPath.tool(name, version)
        outcome.path = path
        let bytes = Array(text.utf8)
        let errors = problems(of: text, name, version)
        guard errors.isEmpty else {
            outcome.state = .refused
            // What is refused is in no file: a place is one in the file that is there.
            let present = old.map { problems(of: $0.text, name, $0.version) } ?? []
            outcome.decisions += errors.prefix(20).map { finding in
                let here = present.first { ($0.code, $0.message) == (finding.code, finding.message) }
                let place = here.map { "\($0.path):\($0.position.line):\($0.position.column)" }
                return ImportDecision(.leftOut, place ?? path, "\(finding.message) [\(finding.code)]")
            }
            return outcome
        }
        let isWritten = try put(path, bytes)
        outcome.state = isWritten ? (old == nil ? .created : .updated) : (old == nil ? .wouldCreate : .wouldUpdate)
        return outcome
    }
}
