import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignReconciler
import EnsignSystem
import Synchronization

/// Talks to the ``Forge``: fetches at an interval with jitter and backoff, and brings ledgers and rollback branches there.
///
/// A thread of its own, so that a forge which does not answer delays neither judging nor going back. Moved refs wake the
/// environments' threads by themselves.
final class ForgeSync: Sendable {
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let report: @Sendable (WatchEvent) -> Void
    private let wakeup: Wakeup
    private let isStopping = Flag()
    /// What each environment has to tell, the newest.
    private let outgoing = Mutex<[String: [Disagreement]]>([:])

    init(
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        report: @escaping @Sendable (WatchEvent) -> Void
    ) throws {
        self.opening = opening
        self.overrides = overrides
        self.report = report
        wakeup = try Wakeup()
    }

    func stop() {
        isStopping.set()
        wakeup.wake()
    }

    /// Leaves word that an environment was reconciled. Returns at once.
    func tell(_ environment: String, _ disagreements: [Disagreement]) {
        outgoing.withLock { $0[environment] = disagreements }
        wakeup.wake()
    }

    func run() {
        var generator = SystemRandomNumberGenerator()
        let site = try? site()
        let interval = site?.settings.interval.flatMap { TimeSpan($0) }?.milliseconds ?? 10_000
        var backoff = Backoff(base: .milliseconds(max(interval, 100)), most: .seconds(300))
        var next = ContinuousClock.now + backoff.delay(using: &generator)
        var pushed: [String: ObjectID] = [:]
        var said: [String: [String]] = [:]
        while !isStopping.isSet {
            let left = next - ContinuousClock.now
            if left > .zero, !Wakeup.wait(for: [wakeup.readEnd], atMost: left).isEmpty { wakeup.clear() }
            if isStopping.isSet { return }
            push(&pushed, &said)
            guard !isStopping.isSet, ContinuousClock.now >= next else { continue }
            if fetchOnce() { backoff.succeeded() } else { backoff.failed() }
            next = ContinuousClock.now + backoff.delay(using: &generator)
        }
    }

    private func site() throws -> Site { try Site(opening, overrides: overrides) }

    private func forge() throws -> Forge? { try Forge(site()) { [isStopping] in isStopping.isSet } }

    /// Fetches once; false when git could not.
    @discardableResult
    func fetchOnce() -> Bool {
        do {
            try forge()?.fetch()
            return true
        } catch {
            if !isStopping.isSet { report(.fetchFailed("\(error)")) }
            return false
        }
    }

    /// Pushes what is new. What fails is tried again with the next word from the environment, at the latest in 30 seconds.
    private func push(_ pushed: inout [String: ObjectID], _ said: inout [String: [String]]) {
        let work = outgoing.withLock { work in
            defer { work = [:] }
            return work
        }
        for (environment, disagreements) in work.sorted(by: { $0.key < $1.key }) {
            guard !isStopping.isSet, let site = try? site(), let forge = try? forge() else { return }
            var notes: [String] = []
            do {
                let tip = try site.repository.reference(site.ledger(environment).ref)
                if tip != nil, tip != pushed[environment] {
                    try forge.push(environment)
                    pushed[environment] = tip
                }
            } catch let error as Git.CommandFailure {
                // The record is durable here; it reaches the forge with the next entry or timer.
                notes.append("the ledger could not be pushed to \(forge.remote): \(error.reason)")
            } catch {
                notes.append("the ledger could not be pushed to \(forge.remote): \(error)")
            }
            notes += forge.settle(environment, disagreements)
            // A state that lasts is said once.
            for note in notes where said[environment]?.contains(note) != true { report(.note(environment, note)) }
            said[environment] = notes
        }
    }
}
