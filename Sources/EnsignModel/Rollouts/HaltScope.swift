/// What a halt covers.
package enum HaltScope: Sendable, Hashable, CustomStringConvertible {
    case agent(AgentID)
    /// The team's agents, also those that come later.
    case team(String)
    /// Every agent of the environment, also those that come later.
    case all

    /// Whether agents that come later are covered too.
    package var coversLater: Bool {
        switch self {
        case .agent: false
        case .team, .all: true
        }
    }

    package func covers(_ agent: AgentID) -> Bool {
        switch self {
        case .agent(let one): one == agent
        case .team(let team): agent.team == team
        case .all: true
        }
    }

    /// The agents of a list that are covered. One that is named is, whether or not the list has it: nobody is asked then.
    ///
    /// - Parameter list: Gives the agents of a team, or all of them; those that are not covered are left out.
    package func covered(of list: (_ team: String?) throws -> [AgentID]) rethrows -> [AgentID] {
        switch self {
        case .agent(let agent): [agent]
        case .team(let team): try list(team).filter(covers)
        case .all: try list(nil)
        }
    }

    /// In words, as entries say it: `team support`.
    package var description: String {
        switch self {
        case .agent(let agent): agent.description
        case .team(let team): "team \(team)"
        case .all: "everything"
        }
    }
}
