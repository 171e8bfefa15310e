/// `state/<team>/<agent>.json` in the ledger's tree: what must be remembered about an agent beyond its route.
///
/// Present only for agents with something to remember: a canary, a place in the queue, a halt, a quarantine. The route
/// follows from it, so a control plane rebuilt from the git repository continues where the old one was.
package struct AgentState: Sendable, Hashable {
    /// The version that sessions get, or would get if the agent were not halted; nil when it has none.
    package var stable: Change.Side?
    /// Whether git says `halted: true`.
    package var haltedByGit: Bool
    /// The candidate that git's stop interrupted: it was not proven, so it does not start by itself when the stop ends.
    package var interrupted: Digest?
    /// The operator's stop; an agent runs when neither is set.
    package var halt: Halt?
    /// When it was first seen to act although halted; nil when it was never seen to, or is running again.
    package var activityAfterHalt: Timestamp?
    package var rollout: RolloutState?
    /// The operator's pause of a canary that something else has ended: the next one begins paused.
    package var pause: CanaryProgress.Pause?
    /// Sorted by time; they outlive the agent's deletion.
    package var quarantine: [Quarantine]
    /// Set while git no longer declares the agent and it stays, because others hand work to it.
    package var leaving: Leaving?
    /// The version that an operator lets in without its soak; nil when it has come in, or none was named.
    package var soakOverride: SoakOverride?

    package init(
        stable: Change.Side?,
        haltedByGit: Bool = false,
        halt: Halt? = nil,
        rollout: RolloutState? = nil,
        quarantine: [Quarantine] = []
    ) {
        self.stable = stable
        self.haltedByGit = haltedByGit
        self.halt = halt
        self.rollout = rollout
        self.quarantine = quarantine
    }

    /// The folder of the ledger's tree.
    package static let folder = "state"

    package static func path(_ agent: AgentID) -> String { "\(folder)/\(agent.team)/\(agent.name).json" }

    /// The agent whose state is at a path; nil for any other path.
    package static func agent(atPath path: some StringProtocol) -> AgentID? {
        guard path.hasPrefix("\(folder)/"), path.hasSuffix(".json") else { return nil }
        return AgentID(path.dropFirst(folder.utf8.count + 1).dropLast(5))
    }

    package var isHalted: Bool { haltedByGit || halt != nil }

    /// Whether there is anything that the route alone does not say.
    package var isWorthKeeping: Bool {
        isHalted || rollout != nil || pause != nil || !quarantine.isEmpty || leaving != nil || soakOverride != nil
    }

    /// The pause of the canary that is under way, or else of the next one; nil when an operator's word has ended it.
    package var presentPause: CanaryProgress.Pause? { canary?.progress.pause ?? pause }

    /// The canary, when one is under way.
    package var canary: (candidate: Candidate, progress: CanaryProgress)? {
        guard case .canary(let candidate, let progress) = rollout else { return nil }
        return (candidate, progress)
    }

    /// The candidate that has or waits for some of the sessions; nil when there is none, and while it waits for its soak.
    package var trial: Candidate? {
        switch rollout {
        case .canary(let candidate, _), .queued(let candidate): candidate
        case .soaking, nil: nil
        }
    }

    /// The quarantine that holds a version back, the latest if there are several; nil when none does.
    package func quarantine(of version: VersionIdentity) -> Quarantine? {
        quarantine.last { version.isCovered(by: $0) }
    }

    /// The versions that are quarantined, each once, the first to fail first.
    package var quarantinedVersions: [AgentVersion] { Quarantine.versions(quarantine) }

    /// The route that follows; nil when the agent has none.
    package func route(_ agent: AgentID, _ environment: String) -> Route? {
        guard let stable else { return nil }
        if isHalted { return Route(agent: agent, environment: environment, phase: .halted, targets: []) }
        var targets = [Route.Target(version: stable.version, digest: stable.digest, weight: 100)]
        if let (candidate, progress) = canary {
            targets[0].weight = 100 - progress.weight
            targets.insert(
                Route.Target(
                    version: candidate.side.version,
                    digest: candidate.side.digest,
                    weight: progress.weight
                ),
                at: 0
            )
        }
        return Route(
            agent: agent,
            environment: environment,
            phase: canary == nil ? .stable : .canary,
            targets: targets
        )
    }

    package var json: JSONValue {
        var halted: JSONObject = ["git": .bool(haltedByGit), "operator": halt?.json ?? .null]
        if let interrupted { halted["interrupted"] = .string(interrupted.description) }
        if let activityAfterHalt { halted["activity"] = .string(activityAfterHalt.description) }
        var object: JSONObject = [
            "v": 1, "stable": stable?.json ?? .null, "halted": .object(halted),
            "rollout": rollout?.json ?? .null,
            "quarantine": .array(quarantine.map(\.json)),
        ]
        if let pause { object["pause"] = pause.json }
        if let soakOverride { object["override"] = soakOverride.json }
        if let leaving { object["leaving"] = leaving.json }
        return .object(object)
    }

    package var bytes: [UInt8] { json.canonicalBytes() + [0x0A] }

    /// Reads a state back; nil when a field is missing, has the wrong type, or was written by a newer version.
    package init?(json: JSONValue) {
        guard json["v"]?.int == 1, let stableValue = json["stable"], let git = json["halted"]?["git"]?.bool,
            let haltValue = json["halted"]?["operator"], let rolloutValue = json["rollout"],
            let quarantineValues = json["quarantine"]?.array
        else { return nil }
        let stable = Change.Side(json: stableValue)
        let halt = Halt(json: haltValue)
        let rollout = RolloutState(json: rolloutValue)
        let quarantine = quarantineValues.compactMap { Quarantine(json: $0) }
        guard (stable == nil) == stableValue.isNull, (halt == nil) == haltValue.isNull,
            (rollout == nil) == rolloutValue.isNull, quarantine.count == quarantineValues.count
        else { return nil }
        self.init(stable: stable, haltedByGit: git, halt: halt, rollout: rollout, quarantine: quarantine)
        if let activity = json["halted"]?["activity"] {
            guard let time = activity.string.flatMap({ Timestamp($0) }) else { return nil }
            activityAfterHalt = time
        }
        if let artifact = json["halted"]?["interrupted"] {
            guard let digest = artifact.string.flatMap({ Digest($0) }) else { return nil }
            interrupted = digest
        }
        if let value = json["pause"] {
            guard let known = CanaryProgress.Pause(json: value) else { return nil }
            pause = known
        }
        if let override = json["override"] {
            guard let known = SoakOverride(json: override) else { return nil }
            soakOverride = known
        }
        if let value = json["leaving"] {
            guard let known = Leaving(json: value) else { return nil }
            leaving = known
        }
    }
}

/// An agent that waits to be removed.
package struct Leaving: Sendable, Hashable {
    package var since: Timestamp
    /// The name under which it goes on; nil when it goes on under none.
    package var successor: AgentID?

    package init(since: Timestamp, successor: AgentID?) {
        self.since = since
        self.successor = successor
    }

    package var json: JSONValue {
        ["since": .string(since.description), "as": successor.map { .string($0.description) } ?? .null]
    }

    package init?(json: JSONValue) {
        guard let since = json["since"]?.string.flatMap({ Timestamp($0) }), let value = json["as"] else { return nil }
        let successor = value.string.flatMap { AgentID($0) }
        guard (successor == nil) == value.isNull else { return nil }
        self.init(since: since, successor: successor)
    }
}

/// What the ledger says about one agent.
package struct RecordedAgent: Sendable, Hashable {
    /// Nil for a deleted agent about which something is still remembered.
    package var route: Route?
    package var state: AgentState

    /// - Parameter state: Nil without a state file: then the route says everything.
    package init(route: Route?, state: AgentState?) {
        self.route = route
        self.state =
            state ?? AgentState(stable: route?.stable.map { Change.Side(version: $0.version, digest: $0.digest) })
    }

    /// The version that sessions get, or would get if the agent were not halted.
    package var stable: Change.Side? { state.stable }

    package var isHalted: Bool { state.isHalted }

    package var isLive: Bool { route != nil }
}
