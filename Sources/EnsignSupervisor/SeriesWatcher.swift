import EnsignHost
import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignSystem
import EnsignTelemetry
import Synchronization

/// Asks Prometheus for an environment's canaries beside its watcher: a server that is slow delays neither a push nor the
/// kill switch.
///
/// It asks, and changes nothing: the environment's own thread takes the answers up, under the lock.
final class SeriesWatcher: Sendable {
    private let environment: String
    private let opening: Site.Opening
    private let overrides: [(key: String, value: String)]
    private let report: @Sendable (WatchEvent) -> Void
    private let telemetry: @Sendable () -> TelemetryPipeline?
    private let answered: @Sendable () -> Void
    private let answers = Mutex<[SeriesAnswer]>([])
    private let wakeup: Wakeup
    private let isStopping = Flag()

    /// How often it looks whether there is anything to ask.
    private static let interval = Duration.seconds(30)

    /// - Parameters:
    ///   - telemetry: The pipeline that has the judge's state; nil while there is none.
    ///   - answered: Called when there are answers to ``take()``.
    init(
        _ environment: String,
        opening: Site.Opening,
        overrides: [(key: String, value: String)],
        telemetry: @escaping @Sendable () -> TelemetryPipeline?,
        report: @escaping @Sendable (WatchEvent) -> Void,
        answered: @escaping @Sendable () -> Void
    ) throws {
        self.environment = environment
        self.opening = opening
        self.overrides = overrides
        self.telemetry = telemetry
        self.report = report
        self.answered = answered
        wakeup = try Wakeup()
    }

    var hasAnswers: Bool { answers.withLock { !$0.isEmpty } }

    /// The answers since the last call. Those that are lost on the way are asked for again.
    func take() -> [SeriesAnswer] {
        answers.withLock { answers in
            defer { answers = [] }
            return answers
        }
    }

    /// Looks at the canaries again.
    func wake() { wakeup.wake() }

    /// Ends the thread, and a query that runs.
    func stop() {
        isStopping.set()
        wakeup.wake()
    }

    func run() {
        var generator = SystemRandomNumberGenerator()
        var retry = Backoff(base: .seconds(1), most: .seconds(15))
        var said: String?
        while !isStopping.isSet {
            wakeup.clear()
            var pause = Self.interval
            do {
                let (failure, wait) = try ask()
                if let failure, failure != said { report(.note(environment, "a canary cannot be judged: \(failure)")) }
                said = failure
                pause = wait ?? pause
                if failure != nil { retry.failed() } else { retry.succeeded() }
            } catch {
                if "\(error)" != said { report(.note(environment, "Prometheus was not asked: \(error)")) }
                said = "\(error)"
                retry.failed()
            }
            if said != nil {
                // What others do meanwhile does not bring the server back.
                sleep(atMost: retry.delay(using: &generator), untilWoken: false)
            } else {
                sleep(atMost: pause, untilWoken: true)
            }
        }
    }

    /// Asks once.
    ///
    /// - Returns: Why something could not be read, and how long it is until there is more to ask.
    private func ask() throws -> (failure: String?, wait: Duration?) {
        let site = try Site(opening, overrides: overrides)
        guard let reader = SeriesReader(site, environment, isCancelled: { [isStopping] in isStopping.isSet }),
            let store = try EvidenceStore(site, environment, telemetry())
        else { return (nil, nil) }
        let now = Moment(nanoseconds: Machine.nanoseconds)
        let open = try OpenSeries(site, environment, store, now: now)
        guard !open.requests.isEmpty else {
            guard let due = open.due else { return (nil, nil) }
            return (nil, min(Self.interval, .nanoseconds(max(due.nanoseconds(since: now), 1_000_000))))
        }
        let found = reader.answers(to: open.requests)
        guard !isStopping.isSet, !found.isEmpty else { return (nil, nil) }
        answers.withLock { $0 = found }
        answered()
        for answer in found {
            if case .unreadable(let why) = answer.outcome { return ("\(answer.request.metric): \(why)", nil) }
        }
        return (nil, nil)
    }

    private func sleep(atMost time: Duration, untilWoken: Bool) {
        let end = ContinuousClock.now + time
        while !isStopping.isSet {
            let left = end - ContinuousClock.now
            guard left > .zero, !Wakeup.wait(for: [wakeup.readEnd], atMost: left).isEmpty else { return }
            if untilWoken { return }
            wakeup.clear()
        }
    }
}
