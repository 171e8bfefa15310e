package import EnsignModel

/// What a new agent takes over from others, because it may be one of them under another name.
///
/// A halt and a quarantine belong to what runs, not to its name. Who is created after the flag, or in the commit that
/// takes the flagged agent away, is held until a person says otherwise; who was there before is not, so that nobody can
/// stop another team's agent by copying it.
package struct Succession: Sendable, Hashable {
    /// The new agent as git asks for it.
    package var wanted: Change.Side
    /// The agent that goes on under this name; nil when it was not renamed.
    package var renamedFrom: AgentID?
    /// The stable version of the agent that was renamed, under the new name.
    package var stable: CompiledBundle?
    /// The stop that holds, with the sentence that says whose it is.
    package var halt: Halt?
    /// The quarantines that hold, each with whose it is as its reason.
    package var quarantine: [Quarantine] = []

    package init(wanted: Change.Side) { self.wanted = wanted }

    package var isEmpty: Bool { renamedFrom == nil && halt == nil && quarantine.isEmpty }
}

/// Finds what new agents take over.
struct Successions {
    private let recorded: RecordedFleet
    private let context: RolloutContext
    /// Agents with a halt or a quarantine, sorted by name.
    private let flagged: [Flagged]
    /// Live agents that go with this plan, sorted by name.
    private let leaving: [Leaving]
    /// Teams of which something is created.
    private let creating: Set<String>

    private struct Flagged {
        var agent: AgentID
        var state: AgentState
        /// What was stopped.
        var artifacts: Set<Digest>
        var isLeaving: Bool
    }

    private struct Leaving {
        var agent: AgentID
        var stable: Change.Side
        var artifact: Digest
    }

    /// - Returns: Nil when nothing is created, or nothing was there before.
    init?(_ desired: [DesiredAgent], _ recorded: RecordedFleet, _ rules: PlanRules, _ context: RolloutContext) throws {
        var leaving: [Leaving] = []
        var creating: Set<String> = []
        for item in desired {
            let isLive = try recorded.isLive(item.agent)
            guard item.compiled == nil else {
                if !isLive { creating.insert(item.agent.team) }
                continue
            }
            guard rules.prune, isLive, let stable = try recorded.agent(item.agent)?.stable,
                let bundle = try recorded.bundle(stable.digest)
            else { continue }
            leaving.append(Leaving(agent: item.agent, stable: stable, artifact: bundle.artifact))
        }
        guard !creating.isEmpty else { return nil }
        let gone = Set(leaving.map(\.agent))
        var flagged: [Flagged] = []
        for agent in try recorded.remembered() {
            guard let state = try recorded.agent(agent)?.state, state.halt != nil || !state.quarantine.isEmpty else {
                continue
            }
            var artifacts = Set([state.halt?.artifact].compactMap { $0 })
            if let stable = state.stable, let bundle = try recorded.bundle(stable.digest) {
                artifacts.insert(bundle.artifact)
            }
            flagged.append(
                Flagged(agent: agent, state: state, artifacts: artifacts, isLeaving: gone.contains(agent))
            )
        }
        guard !flagged.isEmpty || !leaving.isEmpty || !recorded.halts.isEmpty else { return nil }
        (self.recorded, self.context, self.flagged) = (recorded, context, flagged)
        self.leaving = leaving.sorted { $0.agent < $1.agent }
        self.creating = creating
    }

    /// What the agents that are created take over; nothing of those that take nothing over.
    func find(_ desired: [DesiredAgent]) throws -> [AgentID: Succession] {
        var found: [AgentID: Succession] = [:]
        let created = try desired.filter { item in
            try item.compiled != nil && !recorded.isLive(item.agent)
        }.sorted { $0.agent < $1.agent }
        let renamed = try renames(created)
        for item in created {
            guard let compiled = item.compiled else { continue }
            var succession = Succession(wanted: compiled.side)
            if let (agent, stable) = renamed[item.agent] {
                (succession.renamedFrom, succession.stable) = (agent, stable)
            }
            if let scope = recorded.halts.covering(item.agent) {
                succession.halt = Halt(
                    since: context.now,
                    reason: "\(scope.name): \(scope.halt.reason)",
                    by: scope.halt.by
                )
            }
            for other in flagged where other.agent != item.agent {
                // An agent that was renamed is itself and nobody else.
                guard succession.renamedFrom == nil || succession.renamedFrom == other.agent else { continue }
                try takeOver(other, compiled, &succession)
            }
            if !succession.isEmpty { found[item.agent] = succession }
        }
        return found
    }

    // MARK: Renames

    /// The most pairs of an old and a new name that are looked at: each reads a version.
    private static let maxPairs = 2_000

    /// Which live agent goes on under which new name: what it runs is there again, in the commit that takes its name away.
    ///
    /// Flagged agents are looked at first, and for each the names first that are likely: those that bring its artifact, or
    /// have its name or its team.
    private func renames(_ created: [DesiredAgent]) throws -> [AgentID: (AgentID, CompiledBundle)] {
        var found: [AgentID: (AgentID, CompiledBundle)] = [:]
        var left = Self.maxPairs
        let marked = Set(flagged.map(\.agent))
        for old in leaving.filter({ marked.contains($0.agent) }) + leaving.filter({ !marked.contains($0.agent) }) {
            func distance(_ item: DesiredAgent) -> Int {
                if item.compiled?.bundle.artifact == old.artifact { return 0 }
                return item.agent.name == old.agent.name ? 1 : item.agent.team == old.agent.team ? 2 : 3
            }
            let candidates = created.filter { found[$0.agent] == nil }.map { (distance($0), $0) }
            for (_, item) in candidates.sorted(by: { ($0.0, $0.1.agent) < ($1.0, $1.1.agent) }) {
                guard left > 0 else { return found }
                left -= 1
                let same = try context.compile(item.agent, old.stable.version)
                guard let same, same.bundle.artifact == old.artifact else { continue }
                found[item.agent] = (old.agent, same)
                break
            }
        }
        return found
    }

    // MARK: Flags

    private func takeOver(_ other: Flagged, _ compiled: CompiledBundle, _ succession: inout Succession) throws {
        let isRenamed = succession.renamedFrom == other.agent
        // Whoever takes a flagged agent away cannot bring it back changed: what its team creates beside that is held.
        let replaces = try isRenamed || other.isLeaving && isOfTeam(compiled.bundle.agent.team, other.agent.team)
        let artifact = compiled.bundle.artifact
        if succession.halt == nil, let halt = other.state.halt, replaces || other.artifacts.contains(artifact) {
            succession.halt = Halt(since: context.now, reason: "as \(other.agent): \(halt.reason)", by: halt.by)
        }
        for quarantine in other.state.quarantine {
            guard let mark = try mark(quarantine, compiled, isRenamed: isRenamed, replaces: replaces) else { continue }
            succession.quarantine.removeAll { $0.mark == mark }
            succession.quarantine.append(
                Quarantine(
                    mark: mark,
                    version: isRenamed ? quarantine.version : compiled.bundle.version,
                    since: context.now,
                    reason: Self.inherited(quarantine.reason, other.agent)
                )
            )
        }
    }

    /// Whose flag it is; said once, however often the agent is renamed.
    private static func inherited(_ reason: String, _ agent: AgentID) -> String {
        reason.hasPrefix("as ") ? reason : "as \(agent): \(reason)"
    }

    /// The same team, or one that comes in the place of one that has no agents left.
    private func isOfTeam(_ team: String, _ old: String) throws -> Bool {
        if team == old { return true }
        let gone = Set(leaving.map(\.agent))
        let stays = try creating.contains(old) || recorded.members(old).contains { !gone.contains($0) }
        return try !stays && recorded.members(team).isEmpty
    }

    /// What of a quarantine holds for the new agent; nil when nothing does.
    private func mark(
        _ quarantine: Quarantine,
        _ compiled: CompiledBundle,
        isRenamed: Bool,
        replaces: Bool
    ) throws -> Quarantine.Mark? {
        switch quarantine.mark {
        case .artifact(let artifact):
            // The whole list goes on with the agent; a stranger has only what it brings.
            if isRenamed || artifact == compiled.bundle.artifact { return .artifact(artifact) }
        case .digest(let digest):
            // The name is part of the digest: what counts is whether the rest is the same.
            if let bundle = try recorded.bundle(digest), bundle.isSame(exceptForItsName: compiled.bundle) {
                return .digest(compiled.digest)
            }
        }
        return replaces && !isRenamed ? .artifact(compiled.bundle.artifact) : nil
    }
}

extension Bundle {
    /// Whether two bundles say the same of two agents.
    fileprivate func isSame(exceptForItsName other: Bundle) -> Bool {
        var same = self
        (same.agent, same.identity) = (other.agent, other.identity)
        return same == other
    }
}
