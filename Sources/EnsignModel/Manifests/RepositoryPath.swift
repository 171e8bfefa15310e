/// The paths in a fleet's repository, all defined here. ``Meaning`` reads a path back.
///
/// Names may be any printable values: `<team>/<agent>` gives the pattern that people read.
package enum RepositoryPath {
    package static let fleet = "fleet"
    package static let agents = "fleet/agents"
    package static let tools = "fleet/tools"
    package static let roles = "fleet/roles"
    package static let teams = "fleet/teams"
    package static let trust = "fleet/trust"
    package static let allowedSigners = "fleet/trust/allowed_signers"
    package static let prices = "fleet/prices.yaml"
    package static let environments = "environments"

    /// The name of an agent's manifest in the folder of a version.
    package static let manifestName = "agent.yaml"
    private static let suffix = ".yaml"

    // MARK: Folders

    package static func agents(of team: String) -> String { "\(agents)/\(team)" }

    /// All versions of an agent.
    package static func agent(_ agent: some CustomStringConvertible) -> String { "\(agents)/\(agent)" }

    /// One version of an agent.
    package static func version(
        _ version: some CustomStringConvertible,
        of agent: some CustomStringConvertible
    ) -> String {
        "\(agents)/\(agent)/\(version)"
    }

    /// All versions of a tool.
    package static func tool(_ name: String) -> String { "\(tools)/\(name)" }

    package static func environmentFolder(_ name: String) -> String { "\(environments)/\(name)" }

    package static func deployments(in environment: String) -> String { "\(environments)/\(environment)/agents" }

    package static func deployments(of team: String, in environment: String) -> String {
        "\(environments)/\(environment)/agents/\(team)"
    }

    // MARK: Manifests

    package static func manifest(
        of agent: some CustomStringConvertible,
        _ version: some CustomStringConvertible
    ) -> String {
        "\(Self.version(version, of: agent))/\(manifestName)"
    }

    package static func tool(_ name: String, _ version: some CustomStringConvertible) -> String {
        "\(tools)/\(name)/\(version)\(suffix)"
    }

    package static func role(_ name: String) -> String { "\(roles)/\(name)\(suffix)" }

    package static func team(_ name: String) -> String { "\(teams)/\(name)\(suffix)" }

    package static func environment(_ name: String) -> String { "\(environments)/\(name)/environment\(suffix)" }

    package static func binding(_ tool: String, in environment: String) -> String {
        "\(environments)/\(environment)/tools/\(tool)\(suffix)"
    }

    package static func deployment(_ agent: some CustomStringConvertible, in environment: String) -> String {
        "\(deployments(in: environment))/\(agent)\(suffix)"
    }

    // MARK: Reading back

    /// What a path is for, as far as the path alone says.
    package enum Meaning: Sendable, Hashable {
        /// A file below a version of an agent: `fleet/agents/<team>/<agent>/<version>/<file>`. Empty for the version
        /// itself, should it be a file.
        case version(String, of: AgentID, file: String)
        /// A file of a tool: `fleet/tools/<tool>/<file>`.
        case tool(String, file: String)
        case role(String)
        case team(String)
        case binding(String, environment: String)
        case deployment(AgentID, environment: String)
    }

    /// - Returns: nil for what is none of these.
    package static func meaning(of path: some StringProtocol) -> Meaning? {
        let parts = String(path).split(separator: "/").map(String.init)
        guard parts.count >= 3 else { return nil }
        switch (parts[0], parts[0] == environments ? parts[2] : parts[1], parts.count) {
        case (environments, "tools", 4): return name(parts[3]).map { .binding($0, environment: parts[1]) }
        case (environments, "agents", 5):
            return name(parts[4]).flatMap { AgentID("\(parts[3])/\($0)") }.map {
                .deployment($0, environment: parts[1])
            }
        case (fleet, "agents", 5...):
            return AgentID("\(parts[2])/\(parts[3])").map {
                .version(parts[4], of: $0, file: parts[5...].joined(separator: "/"))
            }
        case (fleet, "tools", 4): return .tool(parts[2], file: parts[3])
        case (fleet, "roles", 3): return name(parts[2]).map { .role($0) }
        case (fleet, "teams", 3): return name(parts[2]).map { .team($0) }
        default: return nil
        }
    }

    /// The name that a manifest's file name gives; nil for any other file.
    package static func name(_ file: some StringProtocol) -> String? {
        file.hasSuffix(suffix) ? String(file.dropLast(suffix.count)) : nil
    }

    /// Whether a path is one of these, below one of these, or on the way to one: where a comparison of trees must
    /// descend.
    package static func leads(_ path: String, toOrBelow places: [String]) -> Bool {
        places.contains { place in
            path == place || path.hasPrefix(place + "/") || place.hasPrefix(path + "/")
        }
    }
}
