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
                // environments/<env>/tools/<tool>.yaml
                if environment != nil, parts.count == 4, parts[2] == "tools", parts[3].hasSuffix(".yaml") {
                    shared.insert(.tool(String(parts[3].dropLast(5))))
                    continue
                }
                // environments/<env>/agents/<team>/<agent>.yaml
                guard parts.count == 5, parts[2] == "agents", parts[4].hasSuffix(".yaml"),
                    let agent = AgentID("\(parts[3])/\(parts[4].dropLast(5))")
                else { return .all }
                if change.after == nil {
                    guard environment != nil else { return .all }
                    shared.insert(.agent(agent))
                }
                if try environment == nil && !has(parts.prefix(4)) { return .all }
                agents.insert(agent)
            case ("fleet", "agents"):
                // fleet/agents/<team>/<agent>/<version>/...
                guard parts.count >= 5, let agent = AgentID("\(parts[2])/\(parts[3])") else { return .all }
                // A version of another agent may hand work to it, deployed or not.
                if environment == nil, try change.after == nil || !has(parts.prefix(3)) { return .all }
                agents.insert(agent)
            case ("fleet", "teams"):
                // Who is in a team changes often, and no bundle.
                guard parts.count == 3, parts[2].hasSuffix(".yaml") else { return .all }
                if change.before == nil, environment != nil { continue }
                guard change.before != nil, change.after != nil else { return .all }
                shared.insert(.team(String(parts[2].dropLast(5))))
            case ("fleet", "tools"), ("fleet", "roles"):
                guard environment != nil else { return .all }
                // What is new was named by nobody, or the environment would have been refused.
                guard change.before != nil else { continue }
                if parts[1] == "tools", parts.count == 4 {
                    shared.insert(.tool(parts[2]))
                } else if parts[1] == "roles", parts.count == 3, parts[2].hasSuffix(".yaml") {
                    shared.insert(.role(String(parts[2].dropLast(5))))
                } else {
                    return .all
                }
            default: if environment == nil { return .all }
            }
        }
        return .some(agents, shared: shared)
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
