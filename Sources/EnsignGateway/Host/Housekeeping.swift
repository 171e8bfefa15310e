import EnsignModel
import EnsignSystem

/// What is done by the clock: heads of the log are signed each minute, old files compressed and removed, outcomes that nobody
/// asked for and old runs forgotten.
final class Housekeeping: Sendable {
    private struct State {
        var isStopped = false
        var thread: Thread?
    }

    private let state = Condition(State())
    private let log: DecisionLog
    private let approvals: ApprovalFolder
    private let flights: FlightFolder
    private let runs: RunBook
    /// Days; nil keeps all.
    private let keep: Int64?
    /// What else is done each minute.
    private let settle: @Sendable () -> Void
    private let say: @Sendable (String) -> Void

    init(
        log: DecisionLog,
        approvals: ApprovalFolder,
        flights: FlightFolder,
        runs: RunBook,
        keep: TimeSpan,
        settle: @escaping @Sendable () -> Void,
        say: @escaping @Sendable (String) -> Void
    ) {
        (self.log, self.approvals, self.flights, self.runs) = (log, approvals, flights, runs)
        (self.settle, self.say) = (settle, say)
        self.keep = keep.milliseconds > 0 ? (keep.milliseconds + 86_399_999) / 86_400_000 : nil
    }

    func start() {
        do {
            let thread = try Thread { [self] in
                var last: CalendarDate?
                while true {
                    turn(&last)
                    let next = ContinuousClock.now + .seconds(DecisionLog.secondsBetweenHeads)
                    if state.wait(until: next, { $0.isStopped ? true : nil }) != nil { return }
                }
            }
            state.update { $0.thread = thread }
        } catch {
            say("heads of the log are signed only when calls come: \(error)")
        }
    }

    func stop() {
        let thread = state.update { state in
            state.isStopped = true
            defer { state.thread = nil }
            return state.thread
        }
        thread?.join()
    }

    private func turn(_ last: inout CalendarDate?) {
        let now = Timestamp(seconds: Machine.now)
        settle()
        flights.sweep()
        runs.sweep()
        do {
            try log.signHead()
            guard last != now.date else { return }
            try log.tidy(keep: keep)
            try approvals.tidy(now: now)
            last = now.date
        } catch {
            say("the state cannot be kept in order: \(error.message)")
        }
    }
}
