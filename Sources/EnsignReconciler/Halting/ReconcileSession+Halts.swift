import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTargets

extension ReconcileSession {
    /// Records stops that are pending, and nothing else.
    mutating func runHaltsAlone(_ more: [HaltRecord]) throws -> Reconciler.Report {
        try checkTip()
        try recover()
        try recordHalts(more)
        report.entry = tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) }
        return report
    }

    /// Writes the entry that stops which are already in effect belong into.
    ///
    /// Only after an entry that is no intent: what a dead run had published must be known first.
    ///
    /// - Parameter more: Stops that could not be remembered.
    mutating func recordHalts(_ more: [HaltRecord] = []) throws {
        let contents = try halts.file.read()
        try warn(of: contents)
        let records = more + contents.pending
        guard !records.isEmpty, let before = tip, let accepted = before.acceptedSource else { return }
        var recording = HaltRecording(
            environment: environment,
            recorded: RecordedTree(repository: site.repository, tip: before),
            failure: contents.failure,
            now: now,
            halts: try RecordedTree(repository: site.repository, tip: before).halts()
        )
        for record in records { try recording.add(record) }
        if !recording.changes.isEmpty {
            tip = try append(
                .halt,
                source: acceptedSource(before),
                parent: accepted,
                reason: recording.reason,
                changes: recording.finished(),
                agents: before.agents,
                result: .ok,
                edits: recording.edits
            )
            report.halts += recording.changes
            // A route that was taken away for want of room is put back as a halted one when there is room again.
            _ = try target.halt(recording.routes)
            try putBack(recording)
            try publishHeader()
        }
        try halts.file.finish(Set(contents.pending.map(\.id)))
    }

    /// Halted routes whose file is missing: the ledger has them, so they are put in place.
    private func putBack(_ recording: HaltRecording) throws {
        var publication = Publication()
        for (agent, bytes) in recording.routes where try target.read(LivePath.route(agent)) == nil {
            publication.routes.append((LivePath.route(agent), bytes))
        }
        if !publication.routes.isEmpty { try target.publish(publication, gate: gate) }
    }

    private mutating func warn(of contents: HaltsFile.Contents) throws {
        if contents.damaged > 0 {
            // What cannot be set aside stays, and is told again.
            let aside = (try? halts.file.setDamagedAside()) ?? 0
            let place = aside > 0 ? "kept in \(halts.file.path).damaged" : "in \(halts.file.path)"
            let records = contents.damaged == 1 ? "1 record" : "\(contents.damaged) records"
            let warning =
                "\(records) of the halts file cannot be read, \(place): look whether an agent was to be halted"
            if !report.warnings.contains(warning) { report.warnings.append(warning) }
        }
        if contents.unknown > 0 {
            let records = contents.unknown == 1 ? "1 record" : "\(contents.unknown) records"
            let warning =
                "\(records) of \(halts.file.path) were written by a newer version of Ensign and are not followed"
            if !report.warnings.contains(warning) { report.warnings.append(warning) }
        }
    }

    /// What differs, without routes of agents that were halted while this run looked.
    func withoutHalted(_ drift: [DriftedFile]) throws -> [DriftedFile] {
        guard !drift.isEmpty else { return [] }
        let pending = try halts.file.read().pending
        guard !pending.isEmpty else { return drift }
        return try drift.filter { try !halts.explains($0, pending) }
    }

    /// Publishes, and leaves agents as they are that were halted meanwhile.
    ///
    /// - Returns: Those agents: what was planned for them has not happened.
    func publish(_ publication: Publication, _ plan: Plan?, _ recorded: RecordedTree) throws -> Set<AgentID> {
        let held = try target.publish(publication, gate: gate)
        guard !held.isEmpty else { return [] }
        try halts.enforce()
        // Their bundles are in place and belong to nobody now.
        let used = Set((plan?.changes ?? []).filter { !held.contains($0.agent) }.flatMap { $0.bundles.map(\.digest) })
        var leftovers: [String] = []
        for change in plan?.changes ?? [] where held.contains(change.agent) {
            for bundle in change.bundles where !used.contains(bundle.digest) {
                if try !recorded.keeps(bundle.digest) { leftovers.append(LivePath.bundle(bundle.digest)) }
            }
        }
        try target.publish(Publication(removals: leftovers), gate: gate)
        return held
    }
}

extension Plan {
    /// How the number of live agents changes when some agents stay as they are.
    func live(without held: Set<AgentID>) -> Int64 {
        changes.filter { !held.contains($0.agent) }.flatMap(\.all).reduce(0) {
            $0 + ($1.action == .create ? 1 : $1.action == .delete ? -1 : 0)
        }
    }
}

/// Makes changes of pending stops.
private struct HaltRecording {
    let environment: String
    let recorded: RecordedTree
    /// Why the ledger could not be written before.
    let failure: String?
    let now: Timestamp
    private(set) var changes: [Change] = []
    private var states: [AgentID: AgentState] = [:]
    private var hadRoute: Set<AgentID> = []
    private var rules = 0
    private var alarms = 0
    /// What is stopped as a whole.
    private var halts: FleetHalts
    private var haltsFleet = false

    init(environment: String, recorded: RecordedTree, failure: String?, now: Timestamp, halts: FleetHalts) {
        self.halts = halts
        self.environment = environment
        self.recorded = recorded
        self.failure = failure
        self.now = now
    }

    mutating func add(_ record: HaltRecord) throws {
        if record.kind == .halt, let scope = record.scope.fleet { halt(scope, record) }
        let agents: [AgentID] =
            switch record.scope {
            case .agent(let agent): [agent]
            case .team(let team): try recorded.agents().filter { $0.team == team }
            case .all: try recorded.agents()
            }
        for agent in agents {
            switch record.kind {
            case .halt: try halt(agent, record)
            case .activity: try alarm(agent, record)
            }
        }
    }

    /// The scope itself is stopped too, so that it covers agents that come later.
    private mutating func halt(_ scope: FleetHalts.Scope, _ record: HaltRecord) {
        guard halts[scope] == nil else { return }
        halts[scope] = Halt(since: record.time.timestamp, reason: record.reason, by: record.by)
        haltsFleet = true
        changes.append(halts.change(.halt, scope, reason: record.reason, by: record.by))
    }

    private mutating func state(_ agent: AgentID) throws -> AgentState {
        if let known = states[agent] { return known }
        let before = try recorded.agent(agent)
        if before?.route != nil { hadRoute.insert(agent) }
        return before?.state ?? AgentState(stable: nil)
    }

    private mutating func halt(_ agent: AgentID, _ record: HaltRecord) throws {
        let before = try state(agent)
        // Halted twice, or recorded by a run that died before it could mark the record.
        guard before.halt == nil else { return }
        var machine = RolloutMachine(agent: agent, state: before, now: record.time.timestamp)
        try machine.handle(.operation(.halt, by: record.by, reason: record.reason))
        guard var change = machine.changes.first else { return }
        change.explain {
            $0.by = record.by
            $0.at = record.time.timestamp
            $0.rule = record.rule.map { Evidence.BrokenRule(name: $0, observed: record.observed) }
            $0.recordedLate = late(record)
        }
        if record.rule != nil { rules += 1 }
        changes.append(change)
        states[agent] = machine.state
    }

    /// Why the record had to wait; nil when it came at once.
    private func late(_ record: HaltRecord) -> Evidence.Late? {
        let waited = now.seconds(since: record.time.timestamp)
        guard failure != nil || waited > Self.promptly else { return nil }
        let why = (failure ?? "nothing reconciled in between").cut(utf8: 500)
        return Evidence.Late(seconds: max(0, waited), because: why)
    }

    /// Recording that took longer than this is told.
    private static let promptly: Int64 = 10

    private mutating func alarm(_ agent: AgentID, _ record: HaltRecord) throws {
        var state = try state(agent)
        guard state.isHalted, state.activityAfterHalt == nil else { return }
        state.activityAfterHalt = record.time.timestamp
        var change = Change(agent: agent, action: .halt, from: state.stable, to: state.stable, kind: .none)
        change.explain {
            $0.activityAfterHalt = Evidence.Activity(what: record.reason, at: record.time.timestamp)
        }
        changes.append(change)
        states[agent] = state
        alarms += 1
    }

    /// The changes, the last one of each agent with its state.
    func finished() -> [Change] {
        var open = Set(states.keys)
        var result: [Change] = []
        for var change in changes.reversed() {
            if let agent = change.agent, open.remove(agent) != nil, let state = states[agent] {
                change.remember(state)
            }
            result.append(change)
        }
        return result.reversed()
    }

    var reason: String {
        if alarms == changes.count { return "activity-after-halt" }
        return rules > 0 && rules + alarms == changes.count ? "kill-switch" : "halt"
    }

    /// The routes that follow.
    var routes: [(agent: AgentID, bytes: [UInt8])] {
        states.sorted { $0.key < $1.key }.compactMap { agent, state in
            state.route(agent, environment).map { (agent, $0.bytes) }
        }
    }

    var edits: [String: [UInt8]?] {
        var edits: [String: [UInt8]?] = [:]
        for (agent, state) in states {
            if hadRoute.contains(agent) { edits[LivePath.route(agent)] = state.route(agent, environment)?.bytes }
            edits[AgentState.path(agent)] = state.bytes
        }
        if haltsFleet { edits[FleetHalts.path] = .some(halts.bytes) }
        return edits
    }
}
