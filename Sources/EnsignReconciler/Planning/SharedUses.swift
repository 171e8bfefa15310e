import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignSystem

/// Which agents of an environment use which shared parts, so that a changed role or tool costs what uses it.
///
/// A cache, `<git dir>/ensign/cache/<env>/uses`, by team. What an agent uses stands in its own deployment and manifest
/// alone, so that a team's part holds as long as the ids of its two folders are those that it was made from; nothing
/// else can make it wrong. A line `<team> <key>` is followed by a line ` <agent> <use> ...` for each agent.
struct SharedUses: Sendable {
    struct Team: Sendable {
        /// The ids of the team's folders.
        var key: String
        /// The uses of each agent that it deploys here, as words.
        var agents: [String: [String]]
    }

    var teams: [String: Team] = [:]

    /// Of the file; another one when an agent's uses come to be something else.
    private static let format = "1"

    static func read(_ path: String) -> SharedUses {
        // A cache that cannot be read is none.
        guard let bytes = try? Files.readOwn(path, limit: 1 << 28) else { return SharedUses() }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard lines.first == format[...] else { return SharedUses() }
        var result = SharedUses()
        var team: (name: String, team: Team)?
        for line in lines.dropFirst() {
            let words = line.split(separator: " ")
            if line.hasPrefix(" ") {
                guard let name = words.first else { return SharedUses() }
                team?.team.agents[String(name)] = words.dropFirst().map(String.init)
            } else {
                guard words.count == 2 else { return SharedUses() }
                if let team { result.teams[team.name] = team.team }
                team = (String(words[0]), Team(key: String(words[1]), agents: [:]))
            }
        }
        if let team { result.teams[team.name] = team.team }
        return result
    }

    func write(_ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        var text = "\(Self.format)\n"
        for (name, team) in teams.sorted(by: { $0.key < $1.key }) {
            text += "\(name) \(team.key)\n"
            for (agent, uses) in team.agents.sorted(by: { $0.key < $1.key }) {
                text += " \(agent)"
                for use in uses { text += " \(use)" }
                text += "\n"
            }
        }
        try Files.replace(path, with: Array(text.utf8), durable: false)
    }

    /// The agents of a team that use one of these parts; nil when it is not known.
    func users(of parts: Set<String>, team: String, key: String) -> [AgentID]? {
        guard let known = teams[team], known.key == key else { return nil }
        return known.agents.filter { $0.value.contains(where: parts.contains) }.map {
            AgentID(team: team, name: $0.key)
        }
    }

    /// What a team's part is valid for.
    static func key(_ team: String, _ environment: String, tree: ObjectID, _ repository: Repository) throws -> String {
        let folders = ["environments/\(environment)/agents/\(team)", "fleet/agents/\(team)"]
        return try folders.map { try repository.entry(at: $0, in: tree)?.id.description ?? "none" }
            .joined(separator: "-")
    }
}

extension SharedPart {
    /// As it stands in the cache.
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
