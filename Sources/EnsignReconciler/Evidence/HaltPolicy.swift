import EnsignHost
import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignPolicy

/// The consequences of telemetry: which agents are stopped, which alarms are raised, which drifts are found. Reads and
/// stops nothing itself.
///
/// For one step: it is asked about each activity and each sample in their order, and knows what it has answered before.
struct HaltPolicy {
    private let book: TelemetryBook
    /// Stops that the ledger does not have yet.
    private let pending: [HaltRecord]
    private let now: Moment

    /// What is to be stopped or put on record.
    private(set) var records: [HaltRecord]
    private(set) var trips: [KillSwitch.Trip] = []
    private(set) var alarms: [AgentID] = []
    private(set) var drifts: [BehaviourDrift] = []

    /// What happened longer ago is evidence for canaries, and no reason to stop an agent now.
    private static let oldestJudged: Int64 = 86_400 * 1_000_000_000

    /// - Parameter records: Those of an earlier step that could not be remembered.
    init(_ book: TelemetryBook, pending: [HaltRecord], now: Moment, records: [HaltRecord]) {
        self.book = book
        self.pending = pending
        self.now = now
        self.records = records
    }

    /// After a start: an agent that tripped and is no longer halted was resumed while nobody watched.
    func reconsider(_ state: inout TelemetryState) {
        state.isFresh = false
        for agent in Set(state.kept.killSwitch.tripped).union(state.kept.guards.halted).sorted() {
            if pending.contains(where: { $0.scope.covers(agent) }) || book.haltedSince(agent, now) != nil { continue }
            let week = now.advanced(milliseconds: -7 * 86_400_000)
            state.resume(agent, until: book.lastResume(agent, after: week, now) ?? now)
        }
    }

    // MARK: The kill switch

    /// Checks an activity against the rules, and whether its agent is halted.
    mutating func judge(_ activity: Activity, _ state: inout TelemetryState) {
        if now.nanoseconds(since: activity.time) > Self.oldestJudged { return }
        if let since = haltedSince(activity.agent) {
            raiseAlarm(activity, since, &state)
        } else {
            hold(activity, &state)
        }
    }

    /// In whole seconds, as the ledger will have it.
    private func haltedSince(_ agent: AgentID) -> Moment? {
        let stop =
            records.first { $0.kind == .halt && $0.scope == .agent(agent) }
            ?? pending.first { $0.scope.covers(agent) }
        return stop?.time.timestamp.end.passed(by: now) ?? book.haltedSince(agent, now)
    }

    private mutating func raiseAlarm(_ activity: Activity, _ since: Moment, _ state: inout TelemetryState) {
        let agent = activity.agent
        guard activity.time > since, !state.alarmed.contains(agent) else { return }
        state.alarmed.insert(agent)
        state.isDirty = true
        if book.isAlarmRecorded(agent) { return }
        alarms.append(agent)
        records.append(
            HaltRecord(
                kind: .activity,
                scope: .agent(agent),
                reason: activity.kind.text,
                by: Halt.killSwitch,
                time: activity.time
            )
        )
    }

    private mutating func hold(_ activity: Activity, _ state: inout TelemetryState) {
        let agent = activity.agent
        let rules = book.killRules(agent)
        guard !rules.isEmpty else { return }
        var activity = activity
        var meaning: ToolNames.Meaning??
        if case .call(var call) = activity.kind {
            meaning = book.meaning(of: call.tool, agent, activity.bundle)
            call.meaning = (meaning ?? nil)?.text
            activity.kind = .call(call)
        }
        let trip = state.kept.killSwitch.observe(activity, rules: rules, now: now) { _, _, _ in
            meaning.map { $0 != nil }
        }
        guard let trip else { return }
        state.isDirty = true
        if let resumed = book.lastResume(agent, after: trip.time, now) {
            // Read again after a crash: somebody has looked at this and let the agent go on.
            state.resume(agent, until: resumed)
            return
        }
        trips.append(trip)
        records.append(
            HaltRecord(
                scope: .agent(agent),
                reason: trip.sentence,
                by: Halt.killSwitch,
                time: now,
                rule: trip.rule.text,
                observed: trip.observed,
                after: book.sequence
            )
        )
    }

    // MARK: Guards

    /// Compares a sample of a stable version with what that version did when it became stable.
    mutating func watch(_ sample: Sample, _ state: inout TelemetryState) {
        let agent = sample.agent
        guard let version = book.guarded(agent), let drift = state.kept.guards.take(sample, version, now: now) else {
            return
        }
        if let resumed = book.lastResume(agent, after: drift.time, now) {
            // Read again after a crash: somebody has looked at this and let the agent go on.
            state.kept.guards.restart(agent, after: resumed)
            return
        }
        drifts.append(drift)
        state.kept.add(drift)
        let isStopped = (pending + records).contains { $0.kind == .halt && $0.scope.covers(agent) }
        guard drift.halts, !isStopped, book.haltedSince(agent, now) == nil else { return }
        records.append(
            HaltRecord(
                scope: .agent(agent),
                reason: drift.sentence,
                by: Halt.guardian,
                time: now,
                after: book.sequence
            )
        )
    }
}

extension Activity.Kind {
    /// What a halted agent did.
    fileprivate var text: String {
        switch self {
        case .call(let call):
            "it called \(call.tool.quoted(utf8: 80))"
        case .spent(let dollars): "it spent \(dollars) USD"
        case .steps(let count): "a run of it made \(count) calls"
        case .ran: "a run of it ended"
        }
    }
}

extension KillRule {
    /// As manifests write it.
    package var text: String {
        switch self {
        case .spend(let limit, let window): "\(name): \(JSONValue(limit).text), within: \(window)"
        case .repeatedCall(let count, let window), .deniedCalls(let count, let window):
            "\(name): \(count), within: \(window)"
        case .steps(let count), .unknownTool(let count): "\(name): \(count)"
        }
    }
}
