import EnsignCrypto
package import EnsignModel
import EnsignYAML

/// The manifests of one snapshot, read when they are asked for.
///
/// The findings of every file that was read go to ``findings``, so a fleet that served only one environment holds
/// exactly those that concern it. Teams, roles, tools, bindings and folders are remembered; agents and deployments are
/// not, so that memory stays flat while tens of thousands stream by.
package final class Fleet {
    package let snapshot: any Snapshot
    /// For "has this grant expired": the only check that depends on a clock, and only for a warning.
    package let today: CalendarDate
    package private(set) var findings: [Finding] = []

    /// The file of the last position lookup: the next one is usually in it too.
    private var lastTape: (path: String, tape: YAMLTape)?
    private var seen: Set<Finding> = []
    /// Of all files that were read.
    private var secrets = SecretMask()
    private var shares: [String: FindingShare] = [:]
    private var folders: [String: [SnapshotNode]?] = [:]
    /// The positions of the names in large folders.
    private var indices: [String: [String: Int]] = [:]
    private var teams: [String: Loaded<Team>?] = [:]
    private var roles: [String: Loaded<Role>?] = [:]
    private var tools: [String: Loaded<Tool>?] = [:]
    private var bindings: [String: Loaded<Binding>?] = [:]
    private var environmentFiles: [String: Loaded<Environment>?] = [:]
    private var versions: [String: [SemanticVersion]] = [:]
    private var everyVersion: [String: EveryVersion?] = [:]
    private var allAgents: [String]?
    /// The grants of roles that were checked, by their places.
    private var checkedGrants: Set<String> = []
    /// Reads versions that nothing deploys, only to compare: what is wrong with them is not reported here.
    private lazy var compared = Fleet(snapshot: snapshot, today: today, budget: budget)

    /// The lines of `fleet/trust/allowed_signers` that can be used.
    lazy private(set) var signers = AllowedSigners.parse(source(RepositoryPath.allowedSigners) ?? []).0.entries

    /// The keys with which each person may agree to calls, without those whose time is over.
    lazy private(set) var approvalKeys: [String: Set<String>] = {
        var keys: [String: Set<String>] = [:]
        let now = today.daysSince1970 * 86_400
        for entry in signers where entry.validBefore.map({ $0 >= now }) ?? true {
            for principal in entry.approvers { keys[principal, default: []].insert(entry.key.line) }
        }
        return keys
    }()

    private let budget: WalkBudget

    /// - Parameter budget: Shared by all that go through the same fleet together.
    package init(snapshot: any Snapshot, today: CalendarDate, budget: WalkBudget = WalkBudget()) {
        self.budget = budget
        self.snapshot = snapshot
        self.today = today
    }

    package func report(_ finding: Finding) {
        report(finding.severity, in: finding.path, at: finding.position, finding)
    }
    package func report(_ new: [Finding]) { for finding in new { report(finding) } }

    /// Reports a finding unless its file has used up its share; only then is it made at all.
    func report(
        _ severity: Finding.Severity,
        in path: String,
        at position: Position,
        _ finding: @autoclosure () throws -> Finding
    ) rethrows {
        guard hasRoom(for: severity, in: path) else { return }
        let new = secrets.hide(try finding())
        // A role or a tool is checked again for each deployment that uses it.
        guard seen.insert(new).inserted else { return }
        switch shares[path, default: FindingShare()].take(severity) {
        case .all: findings.append(new)
        case .thatThereAreMore: findings.append(FindingShare.more(severity, path, position))
        case .nothing: break
        }
    }

    /// Whether another finding about a file would be kept.
    func hasRoom(for severity: Finding.Severity, in path: String) -> Bool { shares[path]?.isSpent(severity) != true }

    /// Forgets what was found, and nothing that was read.
    func forgetFindings() { (findings, seen, shares, checkedGrants) = ([], [], [:], []) }

    /// Whether a grant of a role is checked for the first time: many deployments have the same role.
    func isFirstCheck(of grant: Grant, in path: String) -> Bool {
        checkedGrants.insert("\(path):\(grant.tool.position.line):\(grant.tool.position.column)").inserted
    }

    package var hasErrors: Bool { findings.contains { $0.severity == .error } }

    // MARK: Folders

    /// What is in a folder; nil when there is no such folder.
    func folder(_ path: String) throws -> [SnapshotNode]? {
        if let known = folders[path] { return known }
        var children: [SnapshotNode]?
        if let found = try node(path), acceptsKind(of: found, at: path), found.kind == .directory {
            children = try list(found)
        }
        folders[path] = .some(children)
        return children
    }

    /// What is in a folder, to go through all of it: empty when it has more entries than allowed.
    func entries(_ path: String) throws -> [SnapshotNode] {
        let nodes = try folder(path) ?? []
        return nodes.count <= Self.maxEntries ? nodes : []
    }

    func list(_ node: SnapshotNode) throws -> [SnapshotNode] {
        let children = try snapshot.children(of: node)
        try budget.take(children.count, from: snapshot)
        return children
    }

    private func rootChildren() throws -> [SnapshotNode] {
        if let known = folders[""], let known { return known }
        let children = try snapshot.children(of: snapshot.root)
        folders[""] = .some(children)
        return children
    }

    /// Whether there is a file or a folder at a path.
    package func has(_ path: String) throws -> Bool { try node(path) != nil }

    /// The file or folder at a path; nil when there is none.
    func node(_ path: String) throws -> SnapshotNode? {
        guard let slash = path.lastIndex(of: "/") else { return try rootChildren().first { $0.name == path } }
        let parent = String(path[..<slash])
        guard let nodes = try folder(parent) else { return nil }
        let name = path[path.index(after: slash)...]
        guard nodes.count > 32 else { return nodes.first { $0.name == name } }
        // Every agent of a team is looked up in the team's folder.
        let index = indices[parent] ?? Dictionary(zip(nodes.map(\.name), nodes.indices)) { first, _ in first }
        indices[parent] = index
        return index[String(name)].map { nodes[$0] }
    }

    /// Names of the environments, sorted.
    package func environmentNames() throws -> [String] {
        try entries(RepositoryPath.environments).filter { $0.kind == .directory && Name.isValid($0.name) }.map(\.name)
    }

    /// The agents that an environment declares, sorted.
    package func deployedAgents(in environment: String) throws -> [AgentID] {
        var agents: [AgentID] = []
        for team in try entries(RepositoryPath.deployments(in: environment)) where team.kind == .directory {
            for file in try entries(RepositoryPath.deployments(of: team.name, in: environment)) {
                if file.kind == .file, let name = file.manifestName,
                    let agent = AgentID("\(team.name)/\(name)")
                {
                    agents.append(agent)
                }
            }
        }
        return agents.sorted()
    }

    /// The agents in `fleet/agents/`, sorted.
    package func agents() throws -> [AgentID] {
        var agents: [AgentID] = []
        for team in try entries(RepositoryPath.agents) where team.kind == .directory {
            for agent in try entries(RepositoryPath.agents(of: team.name)) where agent.kind == .directory {
                if let agent = AgentID("\(team.name)/\(agent.name)") { agents.append(agent) }
            }
        }
        return agents.sorted()
    }

    /// The agents in `fleet/agents/` as they are written, for hints.
    func agentNames() throws -> [String] {
        if let allAgents { return allAgents }
        let names = try agents().map(\.description)
        allAgents = names
        return names
    }

    /// Names of the tools, teams or roles, sorted.
    package func names(in folder: String, files: Bool) throws -> [String] {
        try (self.folder("\(RepositoryPath.fleet)/\(folder)") ?? []).compactMap { node in
            files ? (node.kind == .file ? node.manifestName : nil) : (node.kind == .directory ? node.name : nil)
        }.filter { Name.isValid($0) }
    }

    /// The released versions of a tool, oldest first.
    package func toolVersions(_ tool: String) throws -> [SemanticVersion] {
        if let known = versions[tool] { return known }
        let found = try (folder(RepositoryPath.tool(tool)) ?? []).compactMap { node in
            node.kind == .file ? node.manifestName.flatMap { SemanticVersion($0) } : nil
        }.sorted()
        versions[tool] = found
        return found
    }

    /// What a tool's released versions have together; nil when one of them has an error: it may be meant to have any
    /// operation. Such an error is reported where that version is checked or deployed, not here.
    func everyVersion(of tool: String) throws -> EveryVersion? {
        if let known = everyVersion[tool] { return known }
        let loaded = try toolVersions(tool).compactMap { try compared.tool(tool, $0) }
        let found = loaded.allSatisfy(\.isValid) ? EveryVersion(loaded.compactMap { $0.value?.operations }) : nil
        everyVersion[tool] = .some(found)
        return found
    }

    /// The versions of an agent, oldest first, `next` last.
    package func agentVersions(_ agent: AgentID) throws -> [AgentVersion] {
        let versions = try (folder(RepositoryPath.agent(agent)) ?? []).compactMap { node in
            node.kind == .directory ? AgentVersion(node.name) : nil
        }
        return versions.compactMap { if case .release(let version) = $0 { version } else { nil } }.sorted()
            .map { .release($0) } + versions.filter { $0 == .next }
    }

    package func declares(_ agent: AgentID) throws -> Bool { try folder(RepositoryPath.agent(agent)) != nil }

    package func deploys(_ agent: AgentID, in environment: String) throws -> Bool {
        try node(RepositoryPath.deployment(agent, in: environment)) != nil
    }

    // MARK: Manifests

    package func team(_ name: String) throws -> Loaded<Team>? {
        try remembered(\.teams, name) { try self.load(Team.self, RepositoryPath.team(name), name: name) }
    }

    package func role(_ name: String) throws -> Loaded<Role>? {
        try remembered(\.roles, name) { try self.load(Role.self, RepositoryPath.role(name), name: name) }
    }

    package func tool(_ name: String, _ version: SemanticVersion) throws -> Loaded<Tool>? {
        try remembered(\.tools, "\(name)@\(version)") {
            try self.load(
                Tool.self,
                RepositoryPath.tool(name, version),
                name: name,
                version: version.description
            )
        }
    }

    package func binding(_ environment: String, _ tool: String) throws -> Loaded<Binding>? {
        try remembered(\.bindings, "\(environment)/\(tool)") {
            try self.load(Binding.self, RepositoryPath.binding(tool, in: environment), name: tool)
        }
    }

    package func environment(_ name: String) throws -> Loaded<Environment>? {
        try remembered(\.environmentFiles, name) {
            try self.load(Environment.self, RepositoryPath.environment(name), name: name)
        }
    }

    func reportMissing(environment name: String) {
        report(
            Finding(
                code: "missing-file",
                "the environment has no environment.yaml",
                path: RepositoryPath.environment(name),
                hint: "'ensign new env \(name)' writes one"
            )
        )
    }

    package func prices() throws -> Loaded<Prices>? { try load(Prices.self, RepositoryPath.prices) }

    package func deployment(_ agent: AgentID, in environment: String) throws -> Loaded<Deployment>? {
        try load(
            Deployment.self,
            RepositoryPath.deployment(agent, in: environment),
            name: agent.name
        )
    }

    /// The bytes of a file at a path, for showing a line of it; nil when there is none.
    package func source(_ path: String) -> [UInt8]? {
        guard let node = try? node(path), node.kind == .file, let size = try? snapshot.size(of: node),
            size <= TextScan.limit
        else { return nil }
        return try? snapshot.bytes(of: node)
    }

    /// Where a JSON Pointer leads below a place in a file, found again by a second parse; the place itself if that
    /// fails.
    func position(of pointer: [String], below start: Position, in path: String) -> Position {
        if lastTape?.path != path { lastTape = source(path).map { (path, ManifestLoader.tape(of: $0)) } }
        return lastTape.map { ManifestLoader.position(of: pointer, below: start, in: $0.tape) } ?? start
    }

    // MARK: Reading

    private func load<Value: ManifestValue>(
        _ type: Value.Type,
        _ path: String,
        name: String? = nil,
        version: String? = nil
    ) throws -> Loaded<Value>? {
        // A link in place of a manifest is refused: read as a missing manifest, it would remove what the manifest
        // declares.
        guard let node = try self.node(path), acceptsKind(of: node, at: path), node.kind == .file else { return nil }
        return try load(type, node, path, name, version)
    }

    func load<Value: ManifestValue>(
        _ type: Value.Type,
        _ node: SnapshotNode,
        _ path: String,
        _ name: String?,
        _ version: String?
    ) throws -> Loaded<Value> {
        guard let bytes = try bytes(of: node, path) else { return Loaded(path: path, value: nil, findings: []) }
        let loaded = ManifestLoader.load(type, bytes, path: path, name: name, version: version)
        secrets.formUnion(loaded.secrets)
        report(loaded.findings)
        return loaded
    }

    /// A file's bytes; nil, with a finding, when it is too large: then its content is never read.
    func bytes(of node: SnapshotNode, _ path: String) throws -> [UInt8]? {
        let size = try snapshot.size(of: node)
        guard size <= TextScan.limit else {
            report(Finding(code: "too-large", "the file has \(size) bytes, more than 1 MiB", path: path))
            return nil
        }
        return try snapshot.bytes(of: node)
    }

    private func remembered<Value>(
        _ memory: ReferenceWritableKeyPath<Fleet, [String: Loaded<Value>?]>,
        _ key: String,
        _ load: () throws -> Loaded<Value>?
    ) rethrows -> Loaded<Value>? {
        if let known = self[keyPath: memory][key] { return known }
        let loaded = try load()
        self[keyPath: memory][key] = .some(loaded)
        return loaded
    }
}

extension SnapshotNode {
    /// The name without `.yaml`; nil for other files.
    var manifestName: String? { RepositoryPath.name(name) }
}

extension Finding {
    init(_ problem: YAMLProblem, _ path: String, _ severity: Severity) {
        self.init(
            severity,
            code: problem.code,
            problem.message,
            path: path,
            at: Position(problem.mark),
            hint: problem.hint
        )
    }
}
