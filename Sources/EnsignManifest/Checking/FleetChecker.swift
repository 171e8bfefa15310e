package import EnsignModel
import EnsignYAML

/// Checks a whole fleet, team by team.
///
/// Memory stays flat: an agent's versions and its deployments are read together and released. Teams are independent
/// except for delegation, so several checkers with a snapshot each can share the work.
package struct FleetChecker {
    let fleet: Fleet
    private var graphs: [String: DelegationGraph] = [:]
    /// What was checked.
    package private(set) var counts = Counts()

    /// How much a check has read.
    package struct Counts: Sendable, Hashable {
        package var agents = 0
        package var versions = 0
        package var deployments = 0
        package var environments = 0
        package var tools = 0

        package init() {}

        package static func += (left: inout Counts, right: Counts) {
            left.agents += right.agents
            left.versions += right.versions
            left.deployments += right.deployments
            left.environments += right.environments
            left.tools += right.tools
        }
    }

    package init(fleet: Fleet) {
        self.fleet = fleet
    }

    package var findings: [Finding] { fleet.findings }
    package var delegations: [String: DelegationGraph] { graphs }

    /// The teams that have agents or deployments, sorted.
    package static func teams(_ fleet: Fleet) throws -> [String] {
        var teams = Set(try fleet.entries(RepositoryPath.agents).map(\.name))
        for environment in try fleet.environmentNames() {
            for team in try fleet.entries(RepositoryPath.deployments(in: environment)) { teams.insert(team.name) }
        }
        return teams.sorted()
    }

    // MARK: What all teams share

    /// Checks everything but the agents and deployments of teams.
    package mutating func checkShared() throws {
        let root = try fleet.snapshot.children(of: fleet.snapshot.root)
        for node in root where node.name == RepositoryPath.fleet || node.name == RepositoryPath.environments {
            if node.kind == .file {
                fleet.report(Finding(code: "wrong-type", "'\(node.name)' must be a folder", path: node.name))
            } else {
                fleet.acceptsKind(of: node, at: node.name)
            }
        }
        guard root.contains(where: { $0.name == RepositoryPath.fleet || $0.name == RepositoryPath.environments }) else {
            fleet.report(
                Finding(
                    code: "no-fleet",
                    "there is neither fleet/ nor environments/ here",
                    path: RepositoryPath.fleet,
                    hint: "'ensign new env dev' and 'ensign new agent TEAM/NAME' make a start"
                )
            )
            return
        }
        for node in fleet.accepted(try fleet.folder(RepositoryPath.fleet) ?? [], in: RepositoryPath.fleet) {
            switch (node.name, node.kind) {
            case ("agents", .directory), ("teams", .directory), ("tools", .directory), ("roles", .directory),
                ("trust", .directory):
                break
            case ("prices.yaml", .file): _ = try fleet.prices()
            default: try fleet.ignored(node, in: RepositoryPath.fleet)
            }
        }
        var teams: [(path: String, members: [Located<String>])] = []
        try checkManifests(in: RepositoryPath.teams) { name in
            if let team = try fleet.team(name) { teams.append((team.path, team.value?.members ?? [])) }
        }
        try checkManifests(in: RepositoryPath.roles) { name in
            guard let role = try fleet.role(name) else { return }
            for grant in role.value?.grants ?? [] { try GrantChecker(fleet: fleet, path: role.path).check(grant) }
        }
        try checkTrust()
        warnAboutCase(teams)
        try checkTools()
        for node in fleet.accepted(try fleet.folder(RepositoryPath.agents) ?? [], in: RepositoryPath.agents) {
            if node.kind != .directory {
                try fleet.ignored(
                    node,
                    in: RepositoryPath.agents,
                    hint: "agents are at \(ManifestKind.agent.pathPattern)"
                )
            } else if !Name.isValid(node.name) {
                invalidName(node, in: RepositoryPath.agents)
            }
        }
        try checkEnvironments()
    }

    private func checkManifests(in folder: String, _ check: (String) throws -> Void) throws {
        for node in fleet.accepted(try fleet.folder(folder) ?? [], in: folder) {
            guard node.kind == .file, let name = node.manifestName else {
                try fleet.ignored(node, in: folder)
                continue
            }
            guard Name.isValid(name) else {
                invalidName(node, in: folder)
                continue
            }
            try check(name)
        }
    }

    private mutating func checkTools() throws {
        for tool in fleet.accepted(try fleet.folder(RepositoryPath.tools) ?? [], in: RepositoryPath.tools) {
            let folder = RepositoryPath.tool(tool.name)
            guard tool.kind == .directory else {
                try fleet.ignored(
                    tool,
                    in: RepositoryPath.tools,
                    hint: "tools are at \(ManifestKind.tool.pathPattern)"
                )
                continue
            }
            guard Name.isValid(tool.name) else {
                invalidName(tool, in: RepositoryPath.tools)
                continue
            }
            for file in fleet.accepted(try fleet.folder(folder) ?? [], in: folder) {
                guard file.kind == .file, let text = file.manifestName else {
                    try fleet.ignored(file, in: folder)
                    continue
                }
                guard let version = SemanticVersion(text) else {
                    fleet.report(
                        Finding(
                            code: "invalid-version",
                            "'\(text)' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0",
                            path: "\(folder)/\(file.name)",
                            hint: "rename the file"
                        )
                    )
                    continue
                }
                counts.tools += 1
                guard let loaded = try fleet.tool(tool.name, version), let value = loaded.value else { continue }
                try checkTeam(value.owner.value, at: value.owner.position, in: loaded.path)
            }
        }
    }

    private mutating func checkEnvironments() throws {
        for node in fleet.accepted(try fleet.folder(RepositoryPath.environments) ?? [], in: RepositoryPath.environments)
        {
            guard node.kind == .directory else {
                try fleet.ignored(node, in: RepositoryPath.environments)
                continue
            }
            guard Name.isValid(node.name) else {
                invalidName(node, in: RepositoryPath.environments)
                continue
            }
            counts.environments += 1
            try checkEnvironment(node.name)
        }
        try checkPromotionCircles()
    }

    /// Reports each circle of promotion once, where the first of its environments by name says it.
    private func checkPromotionCircles() throws {
        var sources: [String: Located<String>] = [:]
        for name in try fleet.environmentNames() { sources[name] = try fleet.environment(name)?.value?.promotesFrom }
        var seen: Set<String> = []
        for name in sources.keys.sorted() where !seen.contains(name) {
            var way: [String] = []
            var next: String? = name
            while let step = next, seen.insert(step).inserted {
                way.append(step)
                next = sources[step]?.value
            }
            // One that promotes from itself has been reported.
            guard let next, let start = way.firstIndex(of: next), way.count - start > 1,
                let first = way[start...].min(), let source = sources[first]
            else { continue }
            let circle = way[start...]
            let turn = circle.firstIndex(of: first) ?? start
            let names = (circle[turn...] + circle[..<turn] + [first]).joined(separator: " from ")
            fleet.report(
                Finding(
                    code: "promotion-cycle",
                    "promotion goes in a circle: \(names)",
                    path: RepositoryPath.environment(first),
                    at: source.position,
                    hint: "remove promotesFrom from the environment where versions come in"
                )
            )
        }
    }

    /// Checks one environment's own folder, without its deployments.
    package func checkEnvironment(_ name: String) throws {
        let folder = RepositoryPath.environmentFolder(name)
        for node in fleet.accepted(try fleet.folder(folder) ?? [], in: folder) {
            switch (node.name, node.kind) {
            case ("tools", .directory), ("agents", .directory), ("environment.yaml", .file): break
            default: try fleet.ignored(node, in: folder)
            }
        }
        if let environment = try fleet.environment(name) {
            try checkPromotion(name, environment)
        } else {
            fleet.reportMissing(environment: name)
        }
        try checkManifests(in: "\(folder)/tools") { tool in
            guard let binding = try fleet.binding(name, tool) else { return }
            try checkPins(binding, tool)
            if try fleet.toolVersions(tool).isEmpty {
                fleet.report(
                    Finding(
                        code: "unknown-tool",
                        "there is no tool '\(tool)'",
                        path: binding.path,
                        hint: Suggestion.hint(
                            for: tool,
                            among: try fleet.names(in: "tools", files: false),
                            plural: "tools"
                        )
                    )
                )
            }
        }
        for node in fleet.accepted(try fleet.folder("\(folder)/agents") ?? [], in: "\(folder)/agents") {
            if node.kind != .directory {
                try fleet.ignored(
                    node,
                    in: "\(folder)/agents",
                    hint: "deployments are at \(ManifestKind.deployment.pathPattern)"
                )
            } else if !Name.isValid(node.name) {
                invalidName(node, in: "\(folder)/agents")
            }
        }
    }

    /// Reports pins of operations that no version of the tool has: a slip there would leave one unpinned.
    private func checkPins(_ binding: Loaded<Binding>, _ tool: String) throws {
        guard let pins = binding.value?.pins, !pins.isEmpty else { return }
        guard try !fleet.toolVersions(tool).isEmpty, let known = try fleet.everyVersion(of: tool)?.names else { return }
        for (name, pin) in pins.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
            let located = Located(name, at: pin.position)
            fleet.reportUnknown(located, Fleet.inNoVersion(located, tool), among: known, in: binding.path)
        }
    }

    private func checkPromotion(_ name: String, _ environment: Loaded<Environment>) throws {
        guard let from = environment.value?.promotesFrom else { return }
        let names = try fleet.environmentNames()
        if from.value == name || !names.contains(from.value) {
            fleet.report(
                Finding(
                    code: "unknown-environment",
                    from.value == name
                        ? "an environment cannot promote from itself" : "there is no environment '\(from.value)'",
                    path: environment.path,
                    at: from.position,
                    hint: Suggestion.hint(for: from.value, among: names.filter { $0 != name }, plural: "environments")
                )
            )
        }
    }

    // MARK: Teams

    /// Checks the agents of one team, and their deployments in every environment.
    ///
    /// - Parameter only: Names of agents: the others are assumed to be valid, and only their folders' names are
    ///   checked.
    package mutating func checkTeam(_ team: String, only: Set<String>? = nil) throws {
        guard Name.isValid(team) else { return }
        let folder = RepositoryPath.agents(of: team)
        var agents: Set<String> = []
        for node in fleet.accepted(try fleet.folder(folder) ?? [], in: folder) {
            guard node.kind == .directory else {
                try fleet.ignored(node, in: folder, hint: "agents are at \(ManifestKind.agent.pathPattern)")
                continue
            }
            guard Name.isValid(node.name) else {
                invalidName(node, in: folder)
                continue
            }
            agents.insert(node.name)
        }
        if !agents.isEmpty { try checkTeam(team, at: .start, in: folder) }
        counts.agents += agents.count
        let environments = try fleet.environmentNames()
        for environment in environments { agents.formUnion(try deployments(of: team, in: environment)) }
        for name in agents.sorted() where only?.contains(name) ?? true {
            try checkAgent(AgentID(team: team, name: name), environments)
        }
    }

    /// The names of the agents that a team deploys in an environment, its folder checked.
    package func deployments(of team: String, in environment: String) throws -> [String] {
        let folder = RepositoryPath.deployments(of: team, in: environment)
        var names: [String] = []
        for node in fleet.accepted(try fleet.folder(folder) ?? [], in: folder) {
            guard node.kind == .file, let name = node.manifestName else {
                try fleet.ignored(node, in: folder)
                continue
            }
            if Name.isValid(name) { names.append(name) } else { invalidName(node, in: folder) }
        }
        return names
    }

    private mutating func checkAgent(_ agent: AgentID, _ environments: [String]) throws {
        var versions: [AgentVersion: LoadedAgent] = [:]
        let folder = RepositoryPath.agent(agent)
        for node in fleet.accepted(try fleet.folder(folder) ?? [], in: folder) {
            guard node.kind == .directory else {
                try fleet.ignored(node, in: folder, hint: "versions are folders: \(folder)/next/agent.yaml")
                continue
            }
            guard !node.name.hasPrefix(LivePath.temporaryPrefix) else {
                fleet.report(
                    Finding(
                        code: "invalid-version",
                        "this is what an 'ensign release' left behind that was interrupted, and not a version",
                        path: "\(folder)/\(node.name)",
                        hint: "remove the folder, and release again"
                    )
                )
                continue
            }
            guard let version = AgentVersion(node.name) else {
                fleet.report(
                    Finding(
                        code: "invalid-version",
                        "'\(node.name)' is not a version: write MAJOR.MINOR.PATCH, such as 1.4.0, or next",
                        path: "\(folder)/\(node.name)",
                        hint: "rename the folder"
                    )
                )
                continue
            }
            guard let loaded = try fleet.agent(agent, version) else { continue }
            counts.versions += 1
            try check(loaded) { [fleet] in
                // Reports no findings: the deployments are checked below.
                let quiet = Fleet(snapshot: fleet.snapshot, today: fleet.today)
                return try environments.contains {
                    try quiet.deployment(agent, in: $0)?.value?.version?.value == version
                }
            }
            versions[version] = loaded
        }
        for environment in environments where try fleet.deploys(agent, in: environment) {
            counts.deployments += 1
            let resolver = DeploymentResolver(fleet: fleet, environment: environment, agent: agent)
            guard let resolved = try resolver.resolve(load: { versions[$0] }) else { continue }
            try warnIfNobodyApproves(resolved)
            graphs[environment, default: DelegationGraph()]
                .add(agent, resolved.manifest, path: resolved.loaded.path)
        }
    }

    /// Checks one version of an agent and its folder.
    ///
    /// - Parameter isDeployed: Whether an environment deploys it; asked only where something is wrong. A release that
    ///   none deploys is history, and what it names may be gone.
    package func check(_ loaded: LoadedAgent, isDeployed: @escaping () throws -> Bool = { true }) throws {
        let folder = RepositoryPath.version(loaded.version, of: loaded.id)
        var named: [SnapshotNode] = []
        var bytes = 0
        let known = Set([RepositoryPath.manifestName] + (loaded.value?.files.map(\.value) ?? []))
        for node in fleet.accepted(loaded.files, in: folder) {
            if node.kind == .file, known.contains(node.name) {
                named.append(node)
                continue
            }
            if node.kind == .file { bytes = bytes.adding(saturating: try fleet.snapshot.size(of: node)) }
            if loaded.value != nil { try fleet.ignored(node, in: folder, hint: "agent.yaml does not name it") }
        }
        // The manifest and the files that it names have 1 MiB each at most: so usually their sizes need not be read again.
        if bytes > Fleet.maxVersionBytes - named.count * TextScan.limit {
            for node in named { bytes = bytes.adding(saturating: try fleet.snapshot.size(of: node)) }
        }
        if bytes > Fleet.maxVersionBytes {
            fleet.report(
                Finding(
                    code: "too-large",
                    "the version's files have more than 4 MiB together",
                    path: folder,
                    hint: "keep what the agent reads elsewhere and name it in 'runtime'"
                )
            )
        }
        try AgentChecker(fleet: fleet, isDeployed: isDeployed).check(loaded)
    }

    /// Reports a team that is named but not declared.
    package func checkTeam(_ team: String, at position: Position, in path: String) throws {
        guard try fleet.team(team) == nil else { return }
        fleet.report(
            Finding(
                code: "unknown-team",
                "there is no team '\(team)'",
                path: path,
                at: position,
                hint: Suggestion.nearest(to: team, in: try fleet.names(in: "teams", files: true))
                    .map { "did you mean '\($0)'?" } ?? "declare it in fleet/teams/\(team).yaml"
            )
        )
    }

    private func invalidName(_ node: SnapshotNode, in folder: String) {
        fleet.report(
            Finding(
                code: "invalid-name",
                "'\(node.name)' is not a name: \(Name.rule)",
                path: "\(folder)/\(node.name)",
                hint: "rename it"
            )
        )
    }
}
