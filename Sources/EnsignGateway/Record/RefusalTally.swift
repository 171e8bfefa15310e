import EnsignModel
import Synchronization

/// Refusals that come in floods: calls for which there was no room, that are too many, or whose client may not speak.
///
/// A client that sends without end must not fill the disk. So of each agent, and for each reason, only the first ones of a minute
/// have a line of the log and a span for themselves; those that follow are counted, are answered with the number of the last one of
/// these lines, and have one line together when the minute is over.
final class RefusalTally: Sendable {
    /// Lines of one agent and reason within a minute.
    static let most = 20

    private struct Minute {
        var start: Timestamp
        var written = 0
        /// Those without a line of their own.
        var counted: Int64 = 0
        var last: Int64?
    }

    private struct Kind: Hashable {
        var agent: AgentID
        var reason: Refusal.Reason
    }

    private let minutes = Mutex<[Kind: Minute]>([:])

    /// Writes down a refusal, or counts it.
    ///
    /// - Returns: The number of its line, or of the line that stands for it; nil where it cannot be written. And whether it is one
    ///   that is only counted.
    func number(
        of decision: Decision,
        _ agent: AgentID,
        in record: any DecisionRecord,
        now: Timestamp
    ) -> (number: Int64?, isCounted: Bool) {
        settle(in: record, now: now)
        let kind = Kind(agent: agent, reason: decision.reason ?? .unavailable)
        // With the lock: a flood goes by one at a time, and the number of the line before is known to the next one.
        return minutes.withLock { minutes in
            var minute = minutes[kind] ?? Minute(start: now)
            defer { minutes[kind] = minute }
            guard minute.written < Self.most, let number = try? record.append(decision) else {
                minute.counted += 1
                return (minute.last, true)
            }
            minute.written += 1
            minute.last = number
            return (number, false)
        }
    }

    /// Writes a line for those of each minute that is over.
    ///
    /// - Parameter now: Nil when all are.
    func settle(in record: any DecisionRecord, now: Timestamp?) {
        minutes.withLock { minutes in
            for (kind, minute) in minutes {
                if let now, (0..<60).contains(now.seconds(since: minute.start)) { continue }
                guard minute.counted > 0 else {
                    minutes[kind] = nil
                    continue
                }
                var decision = Decision(.refused, agent: kind.agent)
                decision.verdict = .refused
                decision.reason = kind.reason
                let fate = kind.reason == .unavailable ? "found no room" : "were refused"
                decision.note =
                    "\(minute.counted) more calls \(fate) within a minute from \(minute.start) on"
                    + (minute.last.map { ", answered with the number \($0)" } ?? "")
                // Where it cannot be written now, it is tried again.
                if (try? record.append(decision)) != nil { minutes[kind] = nil }
            }
        }
    }
}
