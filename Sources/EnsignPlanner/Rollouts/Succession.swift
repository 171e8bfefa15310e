package import EnsignModel

/// What a new agent inherits from others, because it may be one of them under another name.
///
/// A halt and a quarantine belong to what runs, not to its name. An agent that is created after the flag, or in the
/// commit that removes the flagged agent, is held until a person says otherwise; an agent that existed before is not,
/// so that nobody can stop another team's agent by copying it.
package struct Succession: Sendable, Hashable {
    /// The agent as git asks for it.
    package var wanted: Change.Side
    package var identity: VersionIdentity
    /// The agent that continues under this name; nil when it was not renamed.
    package var renamedFrom: AgentID?
    /// The stable version of the agent that was renamed, under the new name, with no more permissions than before.
    package var stable: CompiledBundle?
    /// Its former bundle, under the new name, to compare the stable version with.
    package var before: Bundle?
    /// What else is remembered of the agent that was renamed; nil when it was not renamed.
    package var state: AgentState?
    /// The stop that holds, with a sentence that says whose it is.
    package var halt: Halt?
    /// The quarantines that hold, each with its owner in its reason.
    package var quarantine: [Quarantine] = []

    package init(_ compiled: CompiledBundle) {
        (wanted, identity) = (compiled.side, compiled.identity)
    }

    package var isEmpty: Bool { renamedFrom == nil && halt == nil && quarantine.isEmpty }

    /// What a plan says of an agent that goes on under another name, of both names.
    static func note(former: AgentID) -> String { "it goes on under this name: it was \(former)" }
    static func note(successor: AgentID) -> String { "it goes on as \(successor)" }
}

/// Finds what new agents inherit.
struct Successions {
    private let recorded: RecordedFleet
    private let context: RolloutContext
    /// Agents with a halt or a quarantine, sorted by name.
    private let flagged: [Flagged]
    /// Live agents that this plan removes.
    private let leaving: [Renames.Leaving]
    /// What git declares and is not live, by name.
    private let created: [DesiredAgent]
    private let gone: Set<AgentID>
    /// Who goes on under another name already and stays for others, by the old name.
    private let waiting: [AgentID: AgentID]
    /// Teams in which something is created.
    private let creating: Set<String>

    private struct Flagged {
        var agent: AgentID
        var state: AgentState
        /// What was stopped.
        var artifacts: Set<Digest>
        /// What waits to come in after the stop, of an agent that is no longer declared.
        var asked: Digest?
        /// Who would be this agent under another name if it did not stay itself, because nothing is removed.
        var copy: AgentID?
        var isLeaving: Bool
        /// Whether nobody knows what was stopped: its entries are lost, and git does not have the name any more. It may be
        /// anything that comes.
        var isUnknown: Bool

        /// The one that is said of an artifact; what is said of a bundle is said of this agent alone.
        func quarantine(of version: VersionIdentity) -> Quarantine? {
            state.quarantine.last { quarantine in
                guard case .artifact(let artifact) = quarantine.mark else { return false }
                return version.isNamed(by: artifact)
            }
        }
    }

    /// - Returns: Nil when no agent can be another one.
    init?(_ desired: [DesiredAgent], _ recorded: RecordedFleet, _ rules: PlanRules, _ context: RolloutContext) throws {
        var leaving: [Renames.Leaving] = []
        // They stay although git no longer declares them.
        var kept: [Renames.Leaving] = []
        // Includes undeclared agents that stay: `prune` is off.
        var gone: Set<AgentID> = []
        var creating: Set<String> = []
        for item in desired {
            let isLive = try recorded.isLive(item.agent)
            guard item.compiled == nil else {
                if !isLive { creating.insert(item.agent.team) }
                continue
            }
            let state = isLive ? try recorded.agent(item.agent)?.state : nil
            // One that has waited to go since an earlier commit is neither new nor gone.
            guard state?.leaving == nil else { continue }
            if isLive { gone.insert(item.agent) }
            let isFlagged = state?.isWorthKeeping == true
            guard rules.prune || isFlagged, isLive, let stable = state?.stable,
                let bundle = try recorded.bundle(stable.digest)
            else { continue }
            let old = Renames.Leaving(agent: item.agent, stable: stable, bundle: bundle, isFlagged: isFlagged)
            if rules.prune { leaving.append(old) } else { kept.append(old) }
        }
        let created = try desired.filter { item in
            try item.compiled != nil && !recorded.isLive(item.agent)
        }.sorted { $0.agent < $1.agent }
        let copies = try Renames.find(kept, created, asked: context.asked, compile: context.compile)
        let copyOf = Dictionary(copies.map { ($1.leaving.agent, $0) }) { first, _ in first }
        let declared = Set(desired.lazy.filter { $0.compiled != nil }.map(\.agent))
        var flagged: [Flagged] = []
        var waiting: [AgentID: AgentID] = [:]
        for agent in try recorded.remembered() {
            guard let state = try recorded.agent(agent)?.state else { continue }
            waiting[agent] = state.leaving?.successor
            guard state.halt != nil || !state.quarantine.isEmpty else { continue }
            var artifacts = Set([state.halt?.artifact].compactMap { $0 } + (state.halt?.stopped ?? []))
            if let stable = state.stable, let bundle = try recorded.bundle(stable.digest) {
                artifacts.insert(bundle.artifact)
            }
            let isUnknown =
                state.halt?.isGits == false && artifacts.isEmpty && state.stable == nil && !declared.contains(agent)
            let isLeaving = gone.contains(agent) || isUnknown
            let asked = isLeaving ? try context.asked(agent)?.artifact : nil
            flagged.append(
                Flagged(
                    agent: agent,
                    state: state,
                    artifacts: artifacts,
                    asked: asked,
                    copy: copyOf[agent],
                    isLeaving: isLeaving,
                    isUnknown: isUnknown
                )
            )
        }
        let canMove = !creating.isEmpty && (!leaving.isEmpty || !recorded.halts.isEmpty)
        guard !flagged.isEmpty || canMove || !waiting.isEmpty && !leaving.isEmpty else { return nil }
        (self.recorded, self.context, self.flagged) = (recorded, context, flagged)
        (self.leaving, self.created) = (leaving, created)
        self.waiting = waiting
        (self.gone, self.creating) = (Set(leaving.map(\.agent)), creating)
    }

    /// What the created agents inherit; agents that inherit nothing are left out. With the teams that a stop is for and that
    /// go on under another name, by the new one.
    func find(_ desired: [DesiredAgent]) throws -> (agents: [AgentID: Succession], teams: [String: String]) {
        var found: [AgentID: Succession] = [:]
        let returning = try returning(desired)
        let back = Set(returning.values.map(\.agent))
        let others = leaving.filter { !back.contains($0.agent) }
        let renamed = try Renames.find(others, created, asked: context.asked, compile: context.compile)
            .merging(returning.compactMapValues(\.former)) { found, _ in found }
        let teams = try movedTeams(renamed.mapValues { $0.leaving.agent })
        for item in created + desired.filter({ returning[$0.agent] != nil }) {
            guard let compiled = item.compiled else { continue }
            var inherited =
                try returning[item.agent].map { try succession(ofReturned: compiled, $0.agent) }
                ?? succession(ofNew: compiled, renamed[item.agent], teams)
            // What a rename brings besides is held to what holds for every agent that lives already.
            if let old = inherited.renamedFrom, let held = try arriving(compiled, old) {
                inherited.quarantine.append(held)
            }
            if !inherited.isEmpty { found[item.agent] = inherited }
        }
        for item in desired where found[item.agent] == nil {
            guard let compiled = item.compiled, let held = try arriving(compiled, item.agent) else { continue }
            var succession = Succession(compiled)
            succession.quarantine = [held]
            found[item.agent] = succession
        }
        return (found, teams)
    }

    /// What an agent inherits that gets its name back. It has a stable version of its own: what sessions of it have had all
    /// along.
    private func succession(ofReturned compiled: CompiledBundle, _ old: AgentID) throws -> Succession {
        var succession = Succession(compiled)
        succession.renamedFrom = old
        succession.state = try recorded.agent(old)?.state
        try inherit(compiled, &succession)
        return succession
    }

    /// What a created agent inherits.
    ///
    /// - Parameter former: Who it was; nil for one that was nobody.
    private func succession(
        ofNew compiled: CompiledBundle,
        _ former: Renames.Former?,
        _ teams: [String: String]
    ) throws -> Succession {
        var succession = Succession(compiled)
        if let former {
            let old = former.leaving
            succession.renamedFrom = old.agent
            succession.state = try recorded.agent(old.agent)?.state
            let named = try (former.stable ?? compiled).bundle
            let before = old.bundle.named(as: named)
            succession.before = before
            // Under another name it keeps what it had: anything more from git takes the usual way.
            if let same = former.stable {
                let gains = AuthorityDifference(before: before, after: named).gains
                succession.stable = gains ? try context.restrict(before, named) : same
            } else {
                succession.stable = try context.restrict(before, before)
            }
        }
        if let scope = recorded.halts.covering(
            compiled.agent,
            asTeam: teams[compiled.agent.team],
            not: succession.renamedFrom
        ) {
            succession.halt = Halt(
                since: context.now,
                reason: "\(scope.name): \(scope.halt.reason)",
                by: scope.halt.by
            )
        }
        try inherit(compiled, &succession)
        return succession
    }

    /// What was stopped, and may be this agent.
    private func inherit(_ compiled: CompiledBundle, _ succession: inout Succession) throws {
        for other in flagged where other.agent != compiled.agent {
            // A renamed agent is itself and no other.
            guard succession.renamedFrom == nil || succession.renamedFrom == other.agent || other.isUnknown else {
                continue
            }
            try takeOver(other, compiled, &succession)
        }
    }

    /// Who waits to go under a name whose successor goes on under another one in this commit, with that.
    func followed(_ moved: [AgentID: AgentID]) -> [AgentID: AgentID] {
        waiting.compactMapValues { moved[$0] }
    }

    /// Whose name an agent gives up that gets its own back.
    private struct Returning {
        var agent: AgentID
        /// Nil where that one is gone already, and only its flags are left.
        var former: Renames.Former?
    }

    /// Agents that were renamed, stay under their old name because others hand work to them, and get that name back.
    private func returning(_ desired: [DesiredAgent]) throws -> [AgentID: Returning] {
        var found: [AgentID: Returning] = [:]
        guard !waiting.isEmpty else { return [:] }
        for item in desired {
            guard let compiled = item.compiled, let successor = waiting[item.agent] else { continue }
            if let old = leaving.first(where: { $0.agent == successor }) {
                found[item.agent] = Returning(agent: successor, former: Renames.Former(leaving: old, stable: compiled))
            } else if try !recorded.isLive(successor), flagged.contains(where: { $0.agent == successor }) {
                found[item.agent] = Returning(agent: successor)
            }
        }
        return found
    }

    /// Stopped teams whose last agents leave in this commit, where all that go on do so in one new team: old by new.
    private func movedTeams(_ renamed: [AgentID: AgentID]) throws -> [String: String] {
        var targets: [String: Set<String>] = [:]
        for (new, old) in renamed where recorded.halts.teams[old.team] != nil {
            targets[old.team, default: []].insert(new.team)
        }
        var moved: [String: String] = [:]
        for (old, new) in targets.sorted(by: { $0.key < $1.key }) {
            guard new.count == 1, let team = new.first, team != old, try isOfTeam(team, old) else { continue }
            moved[team] = old
        }
        return moved
    }

    /// The quarantine of a flagged artifact that arrives at a live agent with another one: the agent continues as it is, and
    /// the version is held. Nil for what may come, and for what sessions of the agent have already.
    ///
    /// - Parameter former: The agent's name until now.
    private func arriving(_ compiled: CompiledBundle, _ former: AgentID) throws -> Quarantine? {
        let version = compiled.identity
        // What others have from this very agent is not theirs to give back.
        func isOwn(_ reason: String?) -> Bool {
            reason.flatMap(Self.owner(of:)).map { $0 == compiled.agent || $0 == former } ?? false
        }
        let others = flagged.filter { other in
            guard other.agent != compiled.agent, other.agent != former else { return false }
            let (halt, quarantine) = (other.state.halt, other.quarantine(of: version))
            let isStopped = halt?.isGits == false && other.artifacts.contains(where: version.isNamed)
            return isStopped && !isOwn(halt?.reason) || quarantine != nil && !isOwn(quarantine?.reason)
        }
        guard let other = others.first, let state = try recorded.agent(former)?.state, let stable = state.stable,
            try recorded.bundle(stable.digest).map(version.isArtifact) != true,
            !version.isNamed(by: state.canary?.candidate.artifact)
        else { return nil }
        let why = other.quarantine(of: version)?.reason ?? other.state.halt?.reason ?? ""
        return Quarantine(
            mark: .artifact(version.artifact),
            version: compiled.version,
            since: context.now,
            reason: Self.inherited(why, other.agent)
        )
    }

    // MARK: Flags

    private func takeOver(_ other: Flagged, _ compiled: CompiledBundle, _ succession: inout Succession) throws {
        let isRenamed = succession.renamedFrom == other.agent
        // Nobody can remove a flagged agent and bring it back changed: anything that its team creates in that commit is
        // held.
        // So does what leaves the team of one of whom nobody knows who it was.
        let isOut = other.isUnknown && succession.renamedFrom?.team == other.agent.team
        let replaces =
            try isRenamed || isOut || other.isLeaving && isOfTeam(compiled.agent.team, other.agent.team)
        let isFlagged =
            other.artifacts.contains(where: compiled.identity.isNamed) || compiled.identity.isNamed(by: other.asked)
            || other.copy == compiled.agent
        if succession.halt == nil, let halt = other.state.halt, isRenamed || !halt.isGits, replaces || isFlagged {
            succession.halt = Halt(
                since: isRenamed ? halt.since : context.now,
                reason: Self.inherited(halt.reason, other.agent),
                by: halt.by,
                stopped: isRenamed ? halt.stopped : []
            )
        }
        for quarantine in other.state.quarantine {
            guard let mark = try mark(quarantine, compiled, isRenamed: isRenamed, replaces: replaces) else { continue }
            succession.quarantine.removeAll { $0.mark == mark }
            succession.quarantine.append(
                Quarantine(
                    mark: mark,
                    version: isRenamed ? quarantine.version : compiled.version,
                    since: context.now,
                    reason: Self.inherited(quarantine.reason, other.agent)
                )
            )
        }
    }

    /// Whose flag it is; stated once, however often the agent is renamed.
    private static func inherited(_ reason: String, _ agent: AgentID) -> String {
        owner(of: reason) == nil ? "as \(agent): \(reason)" : reason
    }

    /// Whose flag it was first, of one that was inherited.
    private static func owner(of reason: String) -> AgentID? {
        reason.hasPrefix("as ") ? AgentID(reason.dropFirst(3).prefix { $0 != ":" }) : nil
    }

    /// Whether it is the same team, or one that replaces a team with no agents left.
    private func isOfTeam(_ team: String, _ old: String) throws -> Bool {
        if team == old { return true }
        let stays = try creating.contains(old) || recorded.members(old).contains { !gone.contains($0) }
        // A new team, or one whose agents came from it in commits before this one, and are stopped as they were.
        return try !stays
            && recorded.members(team).allSatisfy { member in
                try recorded.halts.teams[old] != nil && recorded.agent(member)?.isHalted == true
            }
    }

    /// The part of a quarantine that applies to the new agent; nil when none does.
    private func mark(
        _ quarantine: Quarantine,
        _ compiled: CompiledBundle,
        isRenamed: Bool,
        replaces: Bool
    ) throws -> Quarantine.Mark? {
        switch quarantine.mark {
        case .artifact(let artifact):
            // A renamed agent keeps the whole list; a stranger has only what it brings.
            if isRenamed || compiled.identity.isNamed(by: artifact) { return .artifact(artifact) }
        case .digest(let digest):
            // The name is part of the digest, so compare the rest.
            if let bundle = try recorded.bundle(digest), bundle.isSame(exceptForItsName: try compiled.bundle) {
                return .digest(compiled.digest)
            }
        }
        return replaces && !isRenamed ? .artifact(compiled.artifact) : nil
    }
}

extension Bundle {
    /// Whether two bundles say the same about two agents.
    fileprivate func isSame(exceptForItsName other: Bundle) -> Bool { named(as: other).bytes == other.bytes }

    /// The same under the name of another agent.
    func named(as other: Bundle) -> Bundle {
        var same = self
        (same.agent, same.identity) = (other.agent, other.identity)
        return same
    }
}
