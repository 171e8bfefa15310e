import EnsignHost
import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignSystem
import EnsignTelemetry

/// Asks Prometheus for an environment's canaries beside its watcher: a server that is slow delays neither a push nor the
/// kill switch.
///
/// It asks, and changes nothing: the environment's own thread takes the answers up, under the lock. A query that runs while
/// it is stopped is ended.
struct SeriesWork: ServiceWork {
    let environment: WatchedEnvironment
    let service: Service
    let desk: EnvironmentDesk
    private var generator = SystemRandomNumberGenerator()
    private var retry = Backoff(base: .seconds(1), most: .seconds(15))
    private var said = SaidOnce()

    /// How often it looks whether there is anything to ask.
    private static let interval = Duration.seconds(30)

    init(_ environment: WatchedEnvironment, _ service: Service, _ desk: EnvironmentDesk) {
        self.environment = environment
        self.service = service
        self.desk = desk
    }

    mutating func turn() -> Service.Next {
        var failure: String?
        var wait: Duration?
        do {
            (failure, wait) = try ask()
            failure = failure.map { "a canary cannot be judged: \($0)" }
        } catch {
            failure = "Prometheus was not asked: \(error)"
        }
        said.news(failure).map(environment.note)
        guard failure != nil else {
            retry.succeeded()
            return .after(wait ?? Self.interval)
        }
        retry.failed()
        return .notBefore(retry.delay(using: &generator))
    }

    /// Asks once.
    ///
    /// - Returns: Why something could not be read, and how long it is until there is more to ask.
    private func ask() throws -> (failure: String?, wait: Duration?) {
        let site = try environment.open()
        guard let reader = SeriesReader(site, environment.name, isCancelled: { [service] in service.isStopped }),
            let store = try EvidenceStore(site, environment.name, desk.pipeline)
        else { return (nil, nil) }
        let now = Moment(nanoseconds: Machine.nanoseconds)
        let open = try OpenSeries(site, environment.name, store, now: now)
        guard !open.requests.isEmpty else {
            guard let due = open.due else { return (nil, nil) }
            return (nil, min(Self.interval, .nanoseconds(max(due.nanoseconds(since: now), 1_000_000))))
        }
        let found = reader.answers(to: open.requests)
        guard !service.isStopped, !found.isEmpty else { return (nil, nil) }
        desk.leave(found)
        for answer in found {
            if case .unreadable(let why) = answer.outcome { return ("\(answer.request.metric): \(why)", nil) }
        }
        return (nil, nil)
    }
}
