package import EnsignGit
import EnsignManifest
package import EnsignModel

/// Which agents a change between two commits can touch.
package enum AffectedAgents: Sendable, Hashable {
    /// Any of them.
    case all
    /// These, and whoever uses one of the shared parts.
    case some(Set<AgentID>, shared: Set<SharedPart>)

    /// Compares two trees. Equal folders are not read.
    ///
    /// - Parameter environment: Only what this environment depends on; nil for all of them.
    package static func between(
        _ old: ObjectID,
        _ new: ObjectID,
        environment: String? = nil,
        repository: Repository
    ) throws -> AffectedAgents {
        var agents: Set<AgentID> = []
        var shared: Set<SharedPart> = []
        let own = environment.map(RepositoryPath.environmentFolder) ?? RepositoryPath.environments
        // Other environments are never entered.
        let changes = try repository.differences(from: old, to: new) {
            RepositoryPath.leads($0, toOrBelow: [RepositoryPath.fleet, own])
        }
        /// Whether a folder was there before: a new one may itself be what is wrong.
        func has(_ folder: String) throws -> Bool {
            try repository.entry(at: folder, in: old)?.mode == .directory
        }
        for change in changes {
            switch RepositoryPath.meaning(of: change.path) {
            case .deployment(let agent, let place):
                if change.after == nil {
                    guard environment != nil else { return .all }
                    shared.insert(.agent(agent))
                }
                let team = RepositoryPath.deployments(of: agent.team, in: place)
                if try environment == nil && !has(team) { return .all }
                agents.insert(agent)
            case .version(_, let agent, _):
                // A version of another agent may hand work to it, deployed or not.
                let team = RepositoryPath.agents(of: agent.team)
                if environment == nil, try change.after == nil || !has(team) { return .all }
                agents.insert(agent)
            case .team(let team):
                // A team's members change often, and change no bundle.
                if change.before == nil, environment != nil { continue }
                guard change.before != nil, change.after != nil else { return .all }
                shared.insert(.team(team))
            case .binding(let tool, _):
                guard environment != nil else { return .all }
                shared.insert(.tool(tool))
            case .tool(let tool, _):
                guard environment != nil else { return .all }
                // Nothing named what is new, or the environment would have been refused.
                if change.before != nil { shared.insert(.tool(tool)) }
            case .role(let role):
                guard environment != nil else { return .all }
                if change.before != nil { shared.insert(.role(role)) }
            case nil:
                // Below tools and roles, nothing named a new file of another kind either; other files of the fleet are
                // in no bundle.
                guard environment != nil, !isOfAll(change) else { return .all }
            }
        }
        return .some(agents, shared: shared)
    }

    /// Whether a change outside the manifests of single agents, teams, tools and roles may touch a whole environment.
    private static func isOfAll(_ change: TreeChange) -> Bool {
        let parts = change.path.split(separator: "/")
        switch (parts.first.map(String.init), parts.count > 1 ? String(parts[1]) : "") {
        case (RepositoryPath.environments, _), (RepositoryPath.fleet, "agents"), (RepositoryPath.fleet, "teams"):
            return true
        case (RepositoryPath.fleet, "tools"), (RepositoryPath.fleet, "roles"): return change.before != nil
        default: return false
        }
    }
}

/// Something that many agents of an environment are made from, or depend on.
package enum SharedPart: Sendable, Hashable {
    case role(String)
    /// Any version of a tool, or its binding.
    case tool(String)
    /// Its people changed. No bundle has them, but the file must be valid.
    case team(String)
    /// It is no longer deployed: others may hand work to it.
    case agent(AgentID)
}
