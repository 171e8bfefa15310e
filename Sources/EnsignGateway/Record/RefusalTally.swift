import EnsignModel
import Synchronization

/// Refusals that come in floods: calls for which there was no room.
///
/// A client that sends without end must not fill the disk. So of each agent only the first ones of a minute have a line of the
/// log for themselves; those that follow are counted, are answered with the number of the last one of these lines, and have one
/// line together when the minute is over.
final class RefusalTally: Sendable {
    /// Lines of one agent within a minute.
    static let most = 20

    private struct Minute {
        var start: Timestamp
        var written = 0
        /// Those without a line of their own.
        var counted: Int64 = 0
        var last: Int64?
    }

    private let minutes = Mutex<[AgentID: Minute]>([:])

    /// Writes down a refusal, or counts it.
    ///
    /// - Returns: The number of its line, or of the line that stands for it; nil where it cannot be written.
    func number(
        of decision: Decision,
        _ agent: AgentID,
        in record: any DecisionRecord,
        now: Timestamp
    ) -> Int64? {
        settle(in: record, now: now)
        // With the lock: a flood goes by one at a time, and the number of the line before is known to the next one.
        return minutes.withLock { minutes in
            var minute = minutes[agent] ?? Minute(start: now)
            defer { minutes[agent] = minute }
            guard minute.written < Self.most, let number = try? record.append(decision) else {
                minute.counted += 1
                return minute.last
            }
            minute.written += 1
            minute.last = number
            return number
        }
    }

    /// Writes a line for those of each minute that is over.
    ///
    /// - Parameter now: Nil when all are.
    func settle(in record: any DecisionRecord, now: Timestamp?) {
        minutes.withLock { minutes in
            for (agent, minute) in minutes {
                if let now, (0..<60).contains(now.seconds(since: minute.start)) { continue }
                guard minute.counted > 0 else {
                    minutes[agent] = nil
                    continue
                }
                var decision = Decision(.refused, agent: agent)
                decision.verdict = .refused
                decision.reason = .unavailable
                decision.note =
                    "\(minute.counted) more calls found no room within a minute from \(minute.start) on"
                    + (minute.last.map { ", answered with the number \($0)" } ?? "")
                // Where it cannot be written now, it is tried again.
                if (try? record.append(decision)) != nil { minutes[agent] = nil }
            }
        }
    }
}
