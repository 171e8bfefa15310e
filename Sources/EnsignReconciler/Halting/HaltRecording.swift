import EnsignLedger
import EnsignModel
import EnsignPlanner

/// Makes changes of pending stops.
struct HaltRecording {
    let environment: String
    let recorded: RecordedTree
    /// Why the ledger could not be written before.
    let failure: String?
    let now: Timestamp
    private(set) var changes: [Change] = []
    private var states: [AgentID: AgentState] = [:]
    private var hadRoute: Set<AgentID> = []
    /// The agents that the records are about, also those that are stopped already.
    private(set) var covered: Set<AgentID> = []
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

    /// - Parameter gone: Names that were given up: a stop holds under the one that the agent has now.
    mutating func add(_ record: HaltRecord, but gone: Set<AgentID> = []) throws {
        if record.kind == .halt, record.scope.coversLater { halt(record.scope, record) }
        for agent in try record.scope.covered(of: { _ in try recorded.agents() }) {
            if record.kind == .halt, gone.contains(agent) { continue }
            covered.insert(agent)
            switch record.kind {
            case .halt: try halt(agent, record)
            case .activity: try alarm(agent, record)
            }
        }
    }

    /// The scope itself is stopped too, so that it covers agents that come later.
    private mutating func halt(_ scope: HaltScope, _ record: HaltRecord) {
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

    /// Recording that took longer than this is reported.
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

    var reason: Entry.Reason {
        if alarms == changes.count { return Entry.Reason(.activityAfterHalt) }
        return Entry.Reason(rules > 0 && rules + alarms == changes.count ? .killSwitch : .halt)
    }

    /// - Parameter seal: Of the entry that records them.
    func edits(_ seal: LiveSeal) -> [String: FileContent?] {
        var edits: [String: FileContent?] = [:]
        for (agent, state) in states {
            if hadRoute.contains(agent) {
                let route = state.route(agent, environment).map(seal.route)
                edits[LivePath.route(agent)] = .some(route.map { .bytes($0) })
            }
            edits[AgentState.path(agent)] = .bytes(state.bytes)
        }
        if haltsFleet { edits[FleetHalts.path] = .some(halts.bytes.map { .bytes($0) }) }
        return edits
    }
}
