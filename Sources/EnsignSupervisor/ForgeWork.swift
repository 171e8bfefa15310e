import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignReconciler
import EnsignSystem
import Synchronization

/// What environments must report to a ``Forge``, the newest of each. Returns at once, whatever the forge does.
final class ForgeMail: Sendable {
    private let service: Service
    private let outgoing = Mutex<[String: [Disagreement]]>([:])
    private let couriers = Mutex<[Service]>([])

    init(_ service: Service) { self.service = service }

    /// Whom to wake when the forge begins or ends to fail.
    func informs(_ courier: Service) { couriers.withLock { $0.append(courier) } }

    fileprivate func inform() {
        for courier in couriers.withLock({ $0 }) { courier.wake() }
    }

    /// Leaves word that an environment was reconciled.
    func leave(_ environment: String, _ disagreements: [Disagreement]) {
        outgoing.withLock { $0[environment] = disagreements }
        service.wake()
    }

    fileprivate func take() -> [String: [Disagreement]] {
        outgoing.withLock { work in
            defer { work = [:] }
            return work
        }
    }
}

/// Talks to the ``Forge``: fetches at an interval with jitter and backoff, and brings ledgers and rollback branches there.
///
/// A service of its own, so that a forge which does not answer delays neither judging nor going back. Moved refs wake the
/// environments' threads by themselves.
struct ForgeWork: ServiceWork {
    private let place: WatchedSite
    private let service: Service
    private let mail: ForgeMail
    /// Called after the first fetch, however it went.
    private let hasFetched: @Sendable () -> Void
    private var generator = SystemRandomNumberGenerator()
    private var backoff = Backoff(base: .seconds(10), most: .seconds(300))
    /// When it fetches again; nil before the first time.
    private var next: ContinuousClock.Instant?
    private var pushed: [String: ObjectID] = [:]
    /// Environments whose ledger the forge did not take the last time, with what they had left.
    private var unpushed: [String: [Disagreement]] = [:]
    private var said: [String: SaidOnce] = [:]
    /// Why fetching fails, as it was last said, and since when; nil while it works.
    private var failing: (since: Timestamp, reason: String)?

    init(
        _ place: WatchedSite,
        _ service: Service,
        _ mail: ForgeMail,
        hasFetched: @escaping @Sendable () -> Void
    ) {
        self.place = place
        self.service = service
        self.mail = mail
        self.hasFetched = hasFetched
    }

    mutating func turn() -> Service.Next {
        guard let due = next else { return begin() }
        push(mail.take())
        guard !service.isStopped, ContinuousClock.now >= due else { return .after(due - ContinuousClock.now) }
        if fetch() {
            backoff.succeeded()
            // It answers: what it did not take may go there now.
            push(unpushed)
        } else {
            backoff.failed()
        }
        return .after(waiting())
    }

    /// What the forge has of a ledger comes before its first entry here: a rebuilt control plane goes on with it.
    private mutating func begin() -> Service.Next {
        _ = fetch()
        hasFetched()
        let interval = (try? place.open())?.settings.interval.flatMap { TimeSpan($0) }?.milliseconds ?? 10_000
        backoff = Backoff(base: .milliseconds(max(interval, 100)), most: .seconds(300))
        return .after(waiting())
    }

    private mutating func waiting() -> Duration {
        let delay = backoff.delay(using: &generator)
        next = ContinuousClock.now + delay
        return delay
    }

    private func forge(_ site: Site) -> Forge? { Forge(site) { [service] in service.isStopped } }

    /// Fetches once; false when git could not.
    private mutating func fetch() -> Bool {
        do {
            try forge(place.open())?.fetch()
            if let failing {
                place.report(.fetchWorks(since: failing.since))
                mail.inform()
            }
            failing = nil
            return true
        } catch {
            if !service.isStopped { tell((error as? Git.CommandFailure)?.reason ?? "\(error)") }
            return false
        }
    }

    /// Says why fetching fails, once for each reason.
    private mutating func tell(_ reason: String) {
        if failing?.reason != reason { place.report(.fetchFailed(reason)) }
        failing = (failing?.since ?? Timestamp(seconds: Machine.now), reason)
        mail.inform()
    }

    /// Pushes what is new. What fails is tried again when the forge answers, and with the next word from the environment, at
    /// the latest in 30 seconds.
    private mutating func push(_ work: [String: [Disagreement]]) {
        for (name, disagreements) in work.sorted(by: { $0.key < $1.key }) {
            guard !service.isStopped, let site = try? place.open(), let forge = forge(site) else { return }
            let environment = WatchedEnvironment(name: name, place: place)
            let failures = push(name, site, forge)
            let news = said[name, default: SaidOnce()].news(failures + forge.settle(name, disagreements))
            environment.note(news)
            let hadFailed = unpushed[name] != nil
            unpushed[name] = failures.isEmpty ? nil : disagreements
            guard hadFailed == failures.isEmpty else { continue }
            if hadFailed { environment.note("the ledger is pushed to \(forge.remote) again") }
            mail.inform()
        }
    }

    /// - Returns: Why the ledger could not be pushed, in sentences. The record is durable here; it reaches the forge with the
    ///   next entry or timer.
    private mutating func push(_ environment: String, _ site: Site, _ forge: Forge) -> [String] {
        do {
            let tip = try site.repository.reference(site.ledger(environment).ref)
            if tip != nil, tip != pushed[environment] {
                try forge.push(environment)
                pushed[environment] = tip
            }
            return []
        } catch let error as Git.CommandFailure {
            return ["the ledger could not be pushed to \(forge.remote): \(error.reason)"]
        } catch {
            return ["the ledger could not be pushed to \(forge.remote): \(error)"]
        }
    }
}
