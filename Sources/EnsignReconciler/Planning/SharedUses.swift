import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel

/// Which agents of an environment use which shared parts, so that a changed role or tool costs what uses it.
///
/// By team. Only an agent's own deployment and manifest say what it uses, so a team's part holds as long as its two
/// folders still have the ids from which it was made; nothing else can make it wrong. The parts of teams that nobody
/// asks about are not read, and those that did not change are written as they were read.
struct SharedUses: Sendable {
    /// By team: the key for which its part is valid, and the part.
    private var parts: [String: (key: String, record: StateRecord)] = [:]

    /// Whether a team's part is known and holds.
    func holds(_ team: String, key: String) -> Bool { parts[team]?.key == key }

    /// The uses of each agent that a team deploys here, as words; nil when they are not known.
    func agents(of team: String, key: String) -> [String: [String]]? {
        guard let part = parts[team], part.key == key, let json = part.record.value?.object else { return nil }
        var agents: [String: [String]] = [:]
        for (name, uses) in json { agents[name] = (uses.array ?? []).compactMap(\.string) }
        return agents
    }

    /// Takes a team's part over from another one.
    mutating func take(_ team: String, from other: SharedUses) { parts[team] = other.parts[team] }

    mutating func set(_ team: String, key: String, _ agents: [String: [String]]) {
        let json = JSONObject(
            agents.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.array($0.value.map { .string($0) })) }
        )
        parts[team] = (key, StateRecord("\(team) \(key)", .object(json)))
    }

    /// The agents of a team that use one of these parts; nil when it is not known.
    func users(of parts: Set<String>, team: String, key: String) -> [AgentID]? {
        agents(of: team, key: key)?.filter { $0.value.contains(where: parts.contains) }.map {
            AgentID(team: team, name: $0.key)
        }
    }

    /// The key for which a team's part is valid.
    static func key(_ team: String, _ environment: String, tree: ObjectID, _ repository: Repository) throws -> String {
        let folders = [RepositoryPath.deployments(of: team, in: environment), RepositoryPath.agents(of: team)]
        return try folders.map { try repository.entry(at: $0, in: tree)?.id.description ?? "none" }
            .joined(separator: "-")
    }
}

extension SharedUses: StateValue {
    static let kind = StateKind("cache/<env>/uses", .memo, limit: 1 << 28)

    init?(_ contents: StateContents) {
        for record in contents.records {
            let words = record.key.split(separator: " ")
            guard words.count == 2 else { return nil }
            parts[String(words[0])] = (String(words[1]), record)
        }
    }

    var contents: StateContents {
        StateContents([:], records: parts.sorted { $0.key < $1.key }.map(\.value.record))
    }
}

extension SharedPart {
    /// As it is in the memo.
    var word: String {
        switch self {
        case .role(let name): "role:\(name)"
        case .tool(let name): "tool:\(name)"
        case .team(let name): "team:\(name)"
        case .agent(let agent): "agent:\(agent)"
        }
    }
}

extension ResolvedDeployment {
    /// The shared parts that its own two files name, as words.
    var uses: [String] {
        var parts = Set(deployment.roles.map { SharedPart.role($0.value) })
        for need in manifest.tools { parts.insert(.tool(need.tool.value)) }
        for grant in deployment.grants { parts.insert(.tool(grant.tool.value)) }
        for delegate in manifest.delegates { parts.insert(.agent(delegate.value)) }
        return parts.map(\.word).sorted()
    }
}
