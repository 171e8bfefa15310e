/// Stops of a whole environment or of a team: `state/halted.json` in the ledger's tree, present only while one of them
/// is stopped.
///
/// They hold for agents that come later too, and end with a `resume` of the same scope.
package struct FleetHalts: Sendable, Hashable {
    /// The stop of everything.
    package var all: Halt?
    /// Stops of teams, by name.
    package var teams: [String: Halt]

    package init(all: Halt? = nil, teams: [String: Halt] = [:]) {
        self.all = all
        self.teams = teams
    }

    package static let path = "state/halted.json"

    /// The stop of a scope; nil for one agent, whose stop is in its own state.
    package subscript(scope: HaltScope) -> Halt? {
        get {
            switch scope {
            case .all: all
            case .team(let team): teams[team]
            case .agent: nil
            }
        }
        set {
            switch scope {
            case .all: all = newValue
            case .team(let team): teams[team] = newValue
            case .agent: preconditionFailure("the stop of one agent is in its own state")
            }
        }
    }

    package var isEmpty: Bool { all == nil && teams.isEmpty }

    /// A stop that an agent is subject to, in words.
    package struct Covering: Sendable, Hashable {
        package var halt: Halt
        /// `everything is halted`, or the same for a team.
        package var name: String
    }

    /// The stop that an agent is subject to; nil when there is none.
    ///
    /// - Parameters:
    ///   - former: The name of its team before, if that has another now.
    ///   - renamed: The agent that it was under another name. What that one was subject to says nothing anew: if it runs all
    ///     the same, somebody has let it go.
    package func covering(_ agent: AgentID, asTeam former: String? = nil, not renamed: AgentID? = nil) -> Covering? {
        var scopes: [HaltScope] = renamed == nil ? [.all] : []
        for team in [agent.team, former].compactMap({ $0 }) where team != renamed?.team { scopes.append(.team(team)) }
        for scope in scopes {
            if let halt = self[scope] { return Covering(halt: halt, name: "\(scope) is halted") }
        }
        return nil
    }

    /// Whether everything that `other` stops is stopped here too.
    package func isAtLeast(_ other: FleetHalts) -> Bool {
        (all != nil || other.all == nil) && other.teams.keys.allSatisfy { teams[$0] != nil }
    }

    package var json: JSONValue {
        [
            "v": 1, "all": all?.json ?? .null,
            "teams": .object(JSONObject(teams.map { ($0.key, $0.value.json) })),
        ]
    }

    /// The file's bytes; nil when nothing is stopped: the file does not exist then.
    package var bytes: [UInt8]? { isEmpty ? nil : json.canonicalBytes() + [0x0A] }

    /// The change that an entry records for a scope, as it is afterwards: the scope, and everything that is stopped
    /// from then on.
    package func change(_ action: Change.Action, _ scope: HaltScope, reason: String, by: String) -> Change {
        Change(
            agent: nil,
            action: action,
            from: nil,
            to: nil,
            kind: .none,
            evidence: Evidence(
                reason: reason.cut(utf8: 500),
                by: by.cut(utf8: 200),
                fleet: Evidence.FleetStop(scope: scope.description, halts: self)
            )
        )
    }

    /// What an entry's changes leave stopped; nil when they do not concern a scope.
    ///
    /// - Returns: `.some(nil)` when they carry something that cannot be read.
    package static func after(_ changes: [Change]) -> FleetHalts?? {
        guard let last = changes.last(where: { $0.scope != nil }) else { return nil }
        return .some(last.evidence?.fleet?.halts)
    }

    /// Reads the stops back; nil when a field is missing, has the wrong type, or was written by a newer version.
    package init?(json: JSONValue) {
        guard json["v"]?.int == 1, let allValue = json["all"], let teamValues = json["teams"]?.object else {
            return nil
        }
        let all = Halt(json: allValue)
        guard (all == nil) == allValue.isNull else { return nil }
        var teams: [String: Halt] = [:]
        for (name, value) in teamValues {
            guard Name.isValid(name), let halt = Halt(json: value) else { return nil }
            teams[name] = halt
        }
        self.init(all: all, teams: teams)
    }
}

extension Change {
    /// The scope that the change stops or releases, in words; nil for a change of an agent or a file.
    package var scope: String? {
        guard agent == nil, action == .halt || action == .resume else { return nil }
        return evidence?.fleet?.scope
    }
}
