import EnsignGit
package import EnsignHost
package import EnsignLedger
package import EnsignModel
package import EnsignReconciler

/// The state of one environment: its newest entry, its last reconcile, and what somebody should look at.
package struct EnvironmentStatus: Sendable {
    package let name: String
    package let now: Timestamp
    package let tip: RecordedEntry?
    /// The result of the last reconcile here; nil when there was none.
    package let status: Status?
    package let desired: ObjectID?
    package let disagreements: [Disagreement]
    package let outbox: Outbox?
    package let halted: [AgentID: AgentState]
    /// Agents with a candidate: in a canary, or waiting to come in.
    package let rollouts: [AgentID: AgentState]
    /// What is halted as a whole.
    package let halts: FleetHalts
    /// Whether guards can see anything; nil where nobody reconciles, and where it cannot be said.
    package let sight: TelemetrySight?
    /// Agents of which the gateway only observes, and what it would have refused of them; nil without a ledger.
    package let observed: ObservedAgents?
    /// Stable versions that are no longer what they were.
    package let drifts: [BehaviourRecord.Drift]
    package let pending: HaltsFile.Contents
    /// Nil where it cannot be known.
    package let attendance: Attendance?
    /// How far telemetry was read; nil where nobody has read any.
    package let reading: TelemetryReading?
    package let waiting: WaitingCanary?
    /// What is known of the forge; nil where none is followed.
    package let forge: ForgeStatus?
    /// The newest desired commit that is known here, when the host refused it.
    package let refusal: RefusedCommit?
    /// Whether it is no longer declared and nothing of it is live: only its ledger is left.
    package let isRetired: Bool
    /// What is wrong with the setting of its live directory; nil where nothing is, or nobody reconciles.
    package let targetProblem: SettingsError?
    /// Why the environment cannot be read; nil when it can.
    package let unreadable: (any Error)?

    /// Never throws: see ``unreadable``.
    static func of(_ name: String, _ site: Site, now: Timestamp) -> EnvironmentStatus {
        do { return try EnvironmentStatus(name, site, now) } catch {
            return EnvironmentStatus(name, now, unreadable: error, try? site.desiredCommit())
        }
    }

    private init(_ name: String, _ now: Timestamp, unreadable why: any Error, _ desired: ObjectID?) {
        self.name = name
        self.now = now
        self.desired = desired
        unreadable = why
        (tip, status, outbox, attendance, waiting, sight, reading) = (nil, nil, nil, nil, nil, nil, nil)
        (forge, refusal, isRetired, rollouts) = (nil, nil, false, [:])
        halts = FleetHalts()
        (disagreements, halted, drifts, pending) = ([], [:], [], HaltsFile.Contents())
        (observed, targetProblem) = (nil, nil)
    }

    private init(_ name: String, _ site: Site, _ now: Timestamp) throws {
        self.name = name
        self.now = now
        // A ledger that cannot be read does not hide what else is known.
        let ledger = Result { try site.ledger(name).checkedTip() }
        switch ledger {
        case .success(let tip): (self.tip, unreadable) = (tip, nil)
        case .failure(let error): (tip, unreadable) = (nil, error)
        }
        // What was written while this repository was a host says nothing of the present one.
        status = site.reconciles ? try StateFile<Status>(site.files, name).read() : nil
        desired = try site.desiredCommit()
        targetProblem = site.reconciles ? site.settings.targetProblem(name, site.files) : nil
        outbox = try StateFile<Outbox>(site.files, name).read()
        let isReadable = unreadable == nil
        disagreements =
            isReadable ? try RollbackBranches(site: site, environment: name, today: now.date).survey(tip) : []
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let stopped = isReadable ? try HaltedAgents(site, name, recorded) : nil
        (halted, halts) = (stopped?.states ?? [:], stopped?.halts ?? FleetHalts())
        rollouts = isReadable ? try Self.rollouts(recorded) : [:]
        sight = isReadable ? try site.sight(name, tip, now: now) : nil
        drifts = try tip.map { try BehaviourRecord.load(site, name, tip: $0).drifts } ?? []
        observed = try tip.map { try ObservedAgents.look(site, name, $0) }
        pending = try HaltsFile(path: site.files.halts(name)).read()
        attendance = Attendance.of(name, site, now: now)
        let hasTelemetry = (try? site.settings.telemetry(name)) != .some(nil)
        reading = hasTelemetry ? StateFile<TelemetryReading>(site.files, name).known() : nil
        forge = ForgeStatus.of(name, site, tip)
        isRetired = try tip?.agents == 0 && desired.map { try !site.declares(name, at: $0) } ?? false
        let upstream = site.reconciles ? nil : try site.upstream(of: site.settings.branch)?.commit
        refusal =
            isReadable && status == nil
            ? try RefusedCommit.find(Set([desired, upstream].compactMap { $0 }), site.ledger(name), tip) : nil
        waiting =
            try tip != nil && recorded.hasTrials()
            ? attendance.flatMap { WaitingCanary(name, $0) } : nil
    }

    private static func rollouts(_ recorded: RecordedTree) throws -> [AgentID: AgentState] {
        var found: [AgentID: AgentState] = [:]
        for agent in try recorded.remembered() {
            if let state = try recorded.agent(agent)?.state, state.rollout != nil { found[agent] = state }
        }
        return found
    }

    /// Whether something is live, and nothing says what is desired any more.
    package var hasNoBranch: Bool { desired == nil && (tip?.agents ?? 0) > 0 }

    /// How it stands, in one word: the last reconcile here, or in a clone that does none what the ledger says.
    package var result: String? {
        if unreadable != nil { return "unreadable" }
        if hasNoBranch { return "no-branch" }
        guard let status else { return refusal == nil ? tip?.outcome : "refused" }
        guard status.result == "ok", let forge else { return status.result }
        // Not the reconcile's fault, and not well either.
        return forge.isStale ? "stale" : forge.lacksSomething ? "unpushed" : status.result
    }

    /// Seconds since the last reconcile; below 0 when the clock was set back, nil when there was none.
    package var age: Int64? { status.map { now.seconds(since: $0.time) } }

    package var json: JSONValue {
        [
            "environment": .string(name), "agents": tip.map { .integer($0.agents) } ?? .null,
            "entry": tip.map {
                [
                    "seq": .integer($0.entry.sequence), "commit": .string($0.commit.description),
                    "kind": .string($0.entry.kind.rawValue), "time": .string($0.entry.time.description),
                    "result": .string($0.entry.result.rawValue), "reason": .string($0.entry.reason.text),
                    "error": $0.entry.error.map { .string($0) } ?? .null,
                ]
            } ?? .null,
            "result": result.map { .string($0) } ?? .null, "forge": forge?.json ?? .null,
            "refused": refusal?.json ?? .null, "retired": .bool(isRetired),
            "source": tip?.acceptedSource.map { .string($0.description) } ?? .null,
            "desired": desired.map { .string($0.description) } ?? .null,
            "error": unreadable.map { .string("\($0)") } ?? .null,
            "targetProblem": targetProblem.map { .string($0.description) } ?? .null,
            "reconciled": status?.json ?? .null, "watcher": attendance?.json ?? .null,
            "canaryWaiting": waiting?.json ?? .null,
            "disagreements": .array(disagreements.map(\.json)),
            "halted": .array(
                halted.sorted { $0.key < $1.key }.map { agent, state in
                    [
                        "agent": .string(agent.description), "git": .bool(state.haltedByGit),
                        "operator": state.halt?.json ?? .null,
                        "activity": state.activityAfterHalt.map { .string($0.description) } ?? .null,
                    ]
                }
            ),
            "rollouts": .array(
                rollouts.sorted { $0.key < $1.key }.map { agent, state in
                    [
                        "agent": .string(agent.description),
                        "phase": .string(state.phase(of: agent)),
                        "candidate": state.rollout?.candidate.side.json ?? .null,
                        "weight": state.canary.map { .integer($0.progress.weight) } ?? .null,
                    ]
                }
            ), "haltedAsAWhole": halts.json, "guards": sight?.json ?? .null,
            "behaviour": .array(drifts.map(\.json)),
            "observing": .array((observed?.rows ?? []).map { .string($0.agent.description) }),
            "observed": observed?.json ?? .null,
            "telemetry": reading?.json ?? .null,
            "haltsNotRecorded": .integer(Int64(pending.pending.count)),
            "ageSeconds": age.map { .integer($0) } ?? .null,
        ]
    }
}

extension Site {
    /// Whether a commit has the environment's manifest.
    fileprivate func declares(_ environment: String, at commit: ObjectID) throws -> Bool {
        try repository.entry(at: RepositoryPath.environment(environment), in: repository.commit(commit).tree) != nil
    }
}
