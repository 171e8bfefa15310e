import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignQueries
import EnsignSystem

/// Writes new manifests into a work tree, or into any directory that `--repo` names.
struct Scaffold {
    let invocation: Invocation
    /// Nil where there is none yet: manifests can be started before.
    let site: Site?
    /// Ends in `/`. Nil in a bare repository, which has no files to write to.
    private let root: String?
    /// What git keeps out of the work tree; nil where it keeps out nothing.
    private let kept: SparseFiles?
    let fleet: Fleet

    init(_ invocation: Invocation) throws {
        self.invocation = invocation
        site = try invocation.siteIfAny()
        if let site, site.repository.workTree == nil {
            (root, kept) = (nil, nil)
            fleet = try site.fleet(at: nil, today: invocation.today).fleet
            return
        }
        let place = site?.repository.workTree ?? Files.canonical(invocation.directory).map { $0 + "/" }
        guard let place else {
            throw Failure(
                message: invocation.directory == "."
                    ? "the folder that this was started in is gone"
                    : "there is no folder '\(invocation.directory.onOneLine)'"
            )
        }
        root = place
        kept = try site?.sparseFiles()
        let snapshot = try site?.workTreeSnapshots(place)() ?? DirectorySnapshot(path: place)
        fleet = Fleet(snapshot: snapshot, today: invocation.today)
    }

    /// Whether a file is there, or git has it and keeps it out of the work tree.
    func has(_ path: String) throws -> Bool {
        try Files.status(place(of: path)) != nil || kept?.contains(path) == true
    }

    /// Where a file of the fleet is written.
    ///
    /// - Throws: In a bare repository, and where a folder on the way is a symbolic link: what is behind it is not the fleet's.
    func place(of path: String) throws -> String {
        guard let root else {
            throw Failure(
                message: "'\(invocation.directory)' is a bare repository: there are no files to write to",
                hints: ["do it in a clone, and push"],
                code: .usage
            )
        }
        var folder = ""
        for part in path.split(separator: "/").dropLast() {
            folder += folder.isEmpty ? "\(part)" : "/\(part)"
            if try Files.status(root + folder)?.kind == .symlink {
                throw Failure(message: "\(folder) is a symbolic link: nothing is written behind it")
            }
        }
        return root + path
    }

    func environment(_ name: String) throws -> ExitCode {
        try requireName(name)
        let source = try PromotionChain(fleet).end
        let text = ManifestTemplate.environment(promotesFrom: source?.name)
        let hasAgents = try !fleet.agents().isEmpty
        let result = try write(
            [RepositoryPath.environment(name): text],
            next: hasAgents
                ? "ensign new deployment TEAM/AGENT --env \(name), for each agent that runs there"
                : "ensign new agent TEAM/NAME"
        )
        if let source {
            note("It promotes from '\(source.name)', \(source.why). Edit promotesFrom if another is meant.")
        }
        return result
    }

    func agent(_ name: String) throws -> ExitCode {
        guard let agent = AgentID(name) else {
            throw UsageError(message: "'\(name)' is not an agent: write <team>/<agent>", verb: "new")
        }
        try refuseSlip(in: agent.team)
        let folder = RepositoryPath.version(AgentVersion.next, of: agent)
        var files = [
            "\(folder)/agent.yaml": ManifestTemplate.agent(agent.name),
            "\(folder)/prompt.md": ManifestTemplate.prompt(agent.name),
        ]
        if try fleet.team(agent.team) == nil {
            files[RepositoryPath.team(agent.team)] = ManifestTemplate.team(agent.team, member: member)
        }
        let environments = try fleet.environmentNames()
        for environment in environments
        where try fleet.environment(environment)?.value?.mutableVersions == true {
            files[RepositoryPath.deployment(agent, in: environment)] = ManifestTemplate.deployment(.next, needs: [])
        }
        let isDeployed = files.keys.contains { $0.hasPrefix("\(RepositoryPath.environments)/") }
        var next = "edit \(folder)/prompt.md, then ensign release \(agent) 0.1.0"
        if environments.isEmpty { next += ", and ensign new env dev, which it needs to run in" }
        if !isDeployed {
            next += ", then ensign new deployment \(agent) --env \(environments.first ?? "dev")"
        }
        return try write(files, next: next)
    }

    /// The version that runs where the environment promotes from: what its ledger says, else what its file names. Nil
    /// where it runs none that may come here.
    private func versionOfSource(
        _ agent: AgentID,
        _ environment: Environment,
        among versions: [AgentVersion]
    ) throws -> AgentVersion? {
        guard let source = environment.promotesFrom?.value,
            let named = try fleet.deployment(agent, in: source)?.value?.version?.value
        else { return nil }
        let objection = try site.flatMap { site in
            try PromotionSource(site, source).objection(to: named, nil, of: agent)
        }
        let version = objection == nil ? named : objection?.stable
        guard let version, versions.contains(version), version != .next || environment.mutableVersions else {
            return nil
        }
        note("It takes \(version), which '\(source)' runs.")
        return version
    }

    /// Whoever writes a team is its first member: git's `user.email`.
    var member: String {
        let email = try? site?.repository.configuration()["user.email"]
        // It goes into a manifest as it is.
        let isPlain = email?.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "@.+-_".contains($0)) } ?? false
        return isPlain && email?.contains("@") == true ? email ?? "" : "you@example.com"
    }

    func team(_ name: String) throws -> ExitCode {
        try requireName(name)
        return try write(
            [RepositoryPath.team(name): ManifestTemplate.team(name, member: member)],
            next: "edit its members, then ensign new agent \(name)/NAME"
        )
    }

    func binding(_ tool: String) throws -> ExitCode {
        try requireName(tool)
        guard let target = invocation["env"] else {
            throw UsageError(message: "'new binding' needs --env ENV", verb: "new")
        }
        let names = try fleet.environmentNames()
        guard names.contains(target) else { throw ReconcileError.unknownEnvironment(target, known: names) }
        guard try !fleet.toolVersions(tool).isEmpty else {
            let tools = try fleet.names(in: "tools", files: false)
            throw Failure(
                message: "there is no tool '\(tool)'",
                hints: [Suggestion.hint(for: tool, among: tools, plural: "tools") ?? "", "ensign new tool \(tool)"]
            )
        }
        let path = RepositoryPath.binding(tool, in: target)
        return try write(
            [path: ManifestTemplate.binding(tool, target)],
            next: "edit the address and the credential, then ensign plan --env \(target) --worktree"
        )
    }

    func deployment(_ name: String) throws -> ExitCode {
        guard let agent = AgentID(name) else {
            throw UsageError(message: "'\(name)' is not an agent: write <team>/<agent>", verb: "new")
        }
        guard let target = invocation["env"] else {
            throw UsageError(message: "'new deployment' needs --env ENV", verb: "new")
        }
        let names = try fleet.environmentNames()
        guard names.contains(target), let environment = try fleet.environment(target)?.value else {
            throw ReconcileError.unknownEnvironment(target, known: names)
        }
        let versions = try fleet.agentVersions(agent)
        guard !versions.isEmpty else { throw try unknown(agent) }
        let newest = environment.mutableVersions ? versions.last : versions.last { $0 != .next }
        let version = try versionOfSource(agent, environment, among: versions) ?? newest
        guard let version else {
            throw Refusal(
                message: "'\(target)' deploys released versions only, and '\(agent)' has none",
                hints: ["ensign release \(agent) 0.1.0"]
            )
        }
        let manifest = try fleet.agent(agent, version)?.value
        let path = RepositoryPath.deployment(agent, in: target)
        let result = try write(
            [path: ManifestTemplate.deployment(version, needs: manifest?.tools ?? [])],
            next:
                "grant in \(path) what it may call there, raise autonomy there for what does not only read, then ensign plan --env \(target) --worktree"
        )
        for delegate in manifest?.delegates ?? [] where try !fleet.deploys(delegate.value, in: target) {
            note("It hands work to \(delegate.value): ensign new deployment \(delegate.value) --env \(target)")
        }
        return result
    }

    private func unknown(_ agent: AgentID) throws -> Failure {
        let hint = Set(try fleet.agents()).hint(for: agent)
        return Failure(
            message: "there is no agent '\(agent)'",
            hints: [hint, "ensign new agent \(agent)"].compactMap { $0 },
            code: .usage
        )
    }

    /// The tools to grant, those first that the role's name speaks of.
    private func tools(for role: String) throws -> [String] {
        let tools = try fleet.names(in: "tools", files: false)
        if let named = invocation["tool"] {
            guard tools.contains(named) else {
                throw Failure(
                    message: "there is no tool '\(named)'",
                    hints: [Suggestion.hint(for: named, among: tools, plural: "tools") ?? ""]
                )
            }
            return [named]
        }
        let words = role.split(separator: "-")
        let fitting = tools.filter { tool in
            role.hasPrefix(tool) || tool.split(separator: "-").contains { words.contains($0) }
        }
        return fitting + tools.filter { !fitting.contains($0) }
    }

    func role(_ name: String) throws -> ExitCode {
        try requireName(name)
        for tool in try tools(for: name) {
            guard let version = try fleet.toolVersions(tool).last, let value = try fleet.tool(tool, version)?.value
            else {
                continue
            }
            let operations = value.operations.sorted { $0.key < $1.key }
            guard let operation = operations.first(where: { $0.value.access == .read }) ?? operations.first else {
                continue
            }
            let path = RepositoryPath.role(name)
            let text = ManifestTemplate.role(tool, operation.key)
            if invocation["tool"] == nil { note("It grants '\(tool)': --tool names another tool.") }
            return try write([path: text], next: "edit the grants, then name it under roles: in a deployment")
        }
        throw Failure(message: "there is no tool to grant yet", hints: ["ensign new tool NAME"])
    }

    func version(_ name: String) throws -> ExitCode {
        guard let agent = AgentID(name) else {
            throw UsageError(message: "'\(name)' is not an agent: write <team>/<agent>", verb: "new")
        }
        let versions = try fleet.agentVersions(agent)
        guard !versions.contains(.next) else {
            throw Refusal(
                message: "'\(agent)' has a 'next' already: fleet/agents/\(agent)/next",
                hints: ["edit it, then ensign release \(agent) X.Y.Z"]
            )
        }
        guard let newest = versions.last, let loaded = try fleet.agent(agent, newest) else {
            throw try unknown(agent)
        }
        var files: [String: [UInt8]] = [:]
        for file in loaded.files where file.kind == .file {
            let bytes = try fleet.snapshot.bytes(of: file)
            files["\(RepositoryPath.version(AgentVersion.next, of: agent))/\(file.name)"] = bytes
        }
        return try write(bytes: files, next: "edit fleet/agents/\(agent)/next, then ensign release \(agent) X.Y.Z")
    }

    func tool(_ name: String) throws -> ExitCode {
        try requireName(name)
        if let newest = try fleet.toolVersions(name).last { return try nextMinor(of: name, after: newest) }
        let teams = try fleet.names(in: "teams", files: true)
        guard let owner = invocation["team"] ?? teams.first else {
            throw UsageError(message: "there is no team yet: name one with --team", verb: "new")
        }
        try requireName(owner)
        try refuseSlip(in: owner)
        var files = [RepositoryPath.tool(name, "0.1.0"): ManifestTemplate.tool(name, owner: owner)]
        if !teams.contains(owner) {
            files[RepositoryPath.team(owner)] = ManifestTemplate.smallTeam(member: member)
        }
        if invocation["team"] == nil { note("Its owner is '\(owner)': --team names another team.") }
        return try write(files, next: Self.useOfTool)
    }

    private static let useOfTool = "edit it, name it under needs: in an agent's next, and grant it in a deployment"

    /// A tool that is there goes on from its newest version: what its versions promise must not fall behind.
    private func nextMinor(of tool: String, after newest: SemanticVersion) throws -> ExitCode {
        guard invocation["team"] == nil else {
            throw UsageError(
                message: "'\(tool)' has an owner: the one in \(newest)",
                hint: "--team is for a new tool; edit 'owner' in the new version",
                verb: "new"
            )
        }
        guard let bytes = fleet.source(RepositoryPath.tool(tool, newest)) else {
            throw Failure(message: "\(RepositoryPath.tool(tool, newest)) cannot be read")
        }
        let path = RepositoryPath.tool(tool, newest.nextMinor)
        note("It starts as a copy of \(newest).")
        return try write(bytes: [path: bytes], next: Self.useOfTool)
    }

    /// A team whose name is nearly an existing one's is a typo, and is not quietly made.
    func refuseSlip(in team: String) throws {
        let teams = try fleet.names(in: "teams", files: true)
        guard !teams.contains(team), let nearest = Suggestion.nearest(to: team, in: teams) else { return }
        throw UsageError(
            message: "there is no team '\(team)'",
            hint: "did you mean '\(nearest)'? If it is another team, write fleet/teams/\(team).yaml first",
            verb: invocation.verb.name
        )
    }

    func note(_ text: String) {
        if !invocation.isQuiet { invocation.console.note(text) }
    }

    func requireName(_ name: String) throws {
        guard Name.isValid(name) else {
            throw UsageError(message: "'\(name)' is not a name: \(Name.rule)", verb: invocation.verb.name)
        }
    }

    func write(_ files: [String: String], next: String) throws -> ExitCode {
        try write(bytes: files.mapValues { Array($0.utf8) }, next: next)
    }

    private func write(bytes files: [String: [UInt8]], next: String) throws -> ExitCode {
        let paths = files.keys.sorted()
        for path in paths where try has(path) {
            let isKept = kept?.contains(path) == true
            throw Refusal(
                message: "\(path) exists already: nothing was written",
                hints: isKept ? ["git keeps it out of this work tree: git sparse-checkout add \(path)"] : []
            )
        }
        for path in paths {
            let place = try place(of: path)
            guard let folder = Files.parent(of: place), let bytes = files[path] else { continue }
            try Files.makeDirectories(folder, mode: nil)
            Files.removeLeftovers(in: folder, now: invocation.now)
            guard try Files.create(place, with: bytes, mode: nil) else {
                throw Refusal(message: "\(path) exists already")
            }
            invocation.console.line(path)
        }
        if !invocation.isQuiet { invocation.console.note("Next: \(next)") }
        return .done
    }
}
