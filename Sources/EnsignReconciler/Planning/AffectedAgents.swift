import EnsignGit
import EnsignManifest
package import EnsignModel

/// Which agents a change between two commits can touch.
package enum AffectedAgents: Sendable, Hashable {
    /// Any of them: something that many share has changed.
    case all
    case some(Set<AgentID>)

    /// Compares two trees. Equal folders are not read.
    ///
    /// - Parameter environment: Only what this environment depends on; nil for all of them.
    static func between(
        _ old: ObjectID,
        _ new: ObjectID,
        environment: String? = nil,
        repository: Repository
    ) throws -> AffectedAgents {
        var agents: Set<AgentID> = []
        let own = environment.map { "environments/\($0)" } ?? "environments"
        let changes = try repository.differences(from: old, to: new) { path in
            // Other environments are never entered.
            path == "fleet" || path.hasPrefix("fleet/") || path == "environments" || path == own
                || path.hasPrefix(own + "/")
        }
        /// Whether a folder was there before: a new one may itself be what is wrong.
        func has(_ folder: ArraySlice<String>) throws -> Bool {
            try repository.entry(at: folder.joined(separator: "/"), in: old)?.mode == .directory
        }
        for change in changes {
            let parts = change.path.split(separator: "/").map(String.init)
            switch (parts.first, parts.count > 1 ? parts[1] : "") {
            case ("environments", _):
                // environments/<env>/agents/<team>/<agent>.yaml
                guard parts.count == 5, parts[2] == "agents", parts[4].hasSuffix(".yaml"),
                    let agent = AgentID("\(parts[3])/\(parts[4].dropLast(5))")
                else { return .all }
                // Others may hand work to an agent that goes away.
                if change.after == nil { return .all }
                if try environment == nil && !has(parts.prefix(4)) { return .all }
                agents.insert(agent)
            case ("fleet", "agents"):
                // fleet/agents/<team>/<agent>/<version>/...
                guard parts.count >= 5, let agent = AgentID("\(parts[2])/\(parts[3])") else { return .all }
                // A version of another agent may hand work to it, deployed or not.
                if environment == nil, try change.after == nil || !has(parts.prefix(3)) { return .all }
                agents.insert(agent)
            case ("fleet", "tools"), ("fleet", "roles"), ("fleet", "teams"):
                // What is new was named by nobody, or the environment would have been refused.
                if change.before != nil || environment == nil { return .all }
            default: if environment == nil { return .all }
            }
        }
        return .some(agents)
    }
}
