package import EnsignModel
import EnsignSystem
import EnsignTelemetry
import Glibc
import Synchronization

/// What runs have used, by the spans in a folder: read as they are written, at most every quarter of a second, by whoever
/// asks then.
///
/// The first one who asks reads everything that is there, and the others wait for it: limits hold after a restart, too. A folder
/// that cannot be read, also in part, or that is gone, says why nobody knows what was used; one that never was there says nothing was.
/// Safe from any number of threads.
package final class SpanUsage: UsageSource {
    private struct State: ~Copyable {
        var reader: TelemetryReader
        var book: UsageBook
        /// Whether all was read that there was when the folder was there last.
        var isWhole = false
        /// Whether the folder was there, as far as anybody remembers; nil before anybody was asked.
        var wasSeen: Bool?
        /// Why nobody knows what was used.
        var trouble: String?
        var troubles = SaidOnce()
        var said: Set<[String]> = []
        var misstated: Set<AgentID?> = []
    }

    private let folder: String
    private let mark: UsageMark
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
    ///   - place: The gateway's own folder: there it is remembered that this one was there.
    ///   - environment: Spans of another one do not count.
    ///   - say: Says something to the operator.
    package init(
        folder: String,
        state place: String,
        environment: String,
        now: Timestamp = Timestamp(seconds: Machine.now),
        instant: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.folder = folder
        mark = UsageMark(state: place, folder: folder)
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
            var usage = state.book.usage(of: agent, run: run, policy: policy, now: now)
            usage.trouble = state.trouble
            return usage
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
        var words: String?
        do throws(SystemError) {
            let isThere = try isThere()
            state.trouble = nil
            if isThere {
                noteSeen(&state)
                try readAll(&state, now)
                if let path = state.reader.unreadable.first {
                    state.trouble = "something in its folder is closed to the gateway"
                    words = "\(folder)/\(path), which says what runs have used, cannot be read"
                }
            } else {
                // Once it is there again all of it counts at once.
                state.isWhole = false
                if wasSeen(&state) {
                    state.trouble = "the folder that says so is gone"
                    words = "\(folder), which says what runs have used, is gone"
                }
            }
        } catch {
            state.isWhole = false
            state.trouble = error.reason
            words = "what runs have used cannot be read: \(error)"
        }
        guard let words = state.troubles.news(words) else { return }
        say("\(words); until it can be read, calls that have a limit of tokens or money are refused")
    }

    /// - Throws: ``SystemError`` where something is there that cannot be read as a folder.
    private func isThere() throws(SystemError) -> Bool {
        do throws(SystemError) {
            _ = try FileDescriptor(folder, O_RDONLY | O_DIRECTORY, operation: "list \(folder)")
            return true
        } catch {
            guard error.code == ENOENT else { throw error }
            return false
        }
    }

    /// Each time as much as one step gives; all of it where not all was read yet.
    private func readAll(_ state: inout State, _ now: Timestamp) throws(SystemError) {
        repeat {
            let batch = try state.reader.read(limit: Self.step)
            state.book.take(batch.events, now: now)
            if batch.isComplete { state.isWhole = true }
        } while !state.isWhole
    }

    private func wasSeen(_ state: inout State) -> Bool {
        let wasSeen = state.wasSeen ?? mark.isSet
        state.wasSeen = wasSeen
        return wasSeen
    }

    private func noteSeen(_ state: inout State) {
        guard !wasSeen(&state) else { return }
        state.wasSeen = true
        do { try mark.set() } catch { say("after a restart nobody knows that \(folder) was there: \(error)") }
    }

    private func tell(_ state: inout State, _ policy: GatewayPolicy?) {
        for agent in state.book.misstated where state.misstated.insert(agent).inserted {
            let whose = agent.map { "\($0)" } ?? "an agent that is not named"
            say("a span of \(whose) has tokens that are negative, not whole, or too many: they count as nothing here")
        }
        guard state.said.count < Self.mostSaid else { return }
        for models in state.book.unpriced(policy) where state.said.insert(models).inserted {
            let name = models.first.map { $0.quoted(utf8: 200) } ?? "a model that is not named"
            say("no price is known of \(name): what it uses costs nothing here")
        }
    }
}
