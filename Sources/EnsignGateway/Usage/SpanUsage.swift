package import EnsignModel
import EnsignSystem
import EnsignTelemetry
import Synchronization

/// What runs have used, by the spans in a folder: read as they are written, at most every quarter of a second, by whoever
/// asks then.
///
/// The first one who asks reads everything that is there, and the others wait for it: limits hold after a restart, too.
/// Safe from any number of threads.
package final class SpanUsage: UsageSource {
    private struct State: ~Copyable {
        var reader: TelemetryReader
        var book: UsageBook
        var isWhole = false
        var said: Set<[String]> = []
    }

    private let state: Mutex<State>
    private let next: Mutex<ContinuousClock.Instant?>
    private let instant: @Sendable () -> ContinuousClock.Instant
    private let say: @Sendable (String) -> Void

    /// How long what was read counts as new.
    static let pause = Duration.milliseconds(250)
    /// The most that is read at once by somebody who waits for its call, about in bytes.
    private static let step = 2 << 20
    /// Models without a price of which something is said.
    private static let mostSaid = 100

    /// - Parameters:
    ///   - folder: It may not exist yet.
    ///   - environment: Spans of another one do not count.
    ///   - say: Says something to the operator.
    package init(
        folder: String,
        environment: String,
        now: Timestamp = Timestamp(seconds: Machine.now),
        instant: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        state = Mutex(
            State(
                reader: TelemetryReader(directory: folder),
                book: UsageBook(environment: environment, now: now)
            )
        )
        next = Mutex(nil)
        (self.instant, self.say) = (instant, say)
    }

    package func usage(of agent: AgentID, run: String, policy: GatewayPolicy?, now: Timestamp) -> RunUsage {
        let isDue = self.isDue()
        return state.withLock { state in
            if isDue || !state.isWhole { read(&state, now) }
            tell(&state, policy)
            return state.book.usage(of: agent, run: run, policy: policy, now: now)
        }
    }

    private func isDue() -> Bool {
        let now = instant()
        return next.withLock { next in
            if let next, now < next { return false }
            next = now + Self.pause
            return true
        }
    }

    private func read(_ state: inout State, _ now: Timestamp) {
        repeat {
            do throws(SystemError) {
                let batch = try state.reader.read(limit: Self.step)
                state.book.take(batch.events, now: now)
                guard !batch.isComplete else {
                    state.isWhole = true
                    return
                }
            } catch {
                // A folder that is not there yet says nothing; one that cannot be read is looked at again.
                if !error.isMissing { say("what runs have used cannot be read: \(error)") }
                state.isWhole = state.isWhole || error.isMissing
                return
            }
        } while !state.isWhole
    }

    private func tell(_ state: inout State, _ policy: GatewayPolicy?) {
        guard state.said.count < Self.mostSaid else { return }
        for models in state.book.unpriced(policy) where state.said.insert(models).inserted {
            let name = models.first.map { $0.quoted(utf8: 200) } ?? "a model that is not named"
            say("no price is known of \(name): what it uses costs nothing here")
        }
    }
}
