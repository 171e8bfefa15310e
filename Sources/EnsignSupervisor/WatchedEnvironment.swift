import EnsignHost
import EnsignJudge
import EnsignModel
package import EnsignReconciler
import EnsignSystem
import Synchronization

/// What a watch has to say.
package enum WatchEvent: Sendable {
    case reconciled(String, Reconciler.Report)
    case failed(String, any Error)
    case note(String, String)
    case fetchFailed(String)
}

/// The repository of a watch, and whom the watch informs. Every service opens it anew: a handle is for one thread.
struct WatchedSite: Sendable {
    let opening: Site.Opening
    let overrides: [(key: String, value: String)]
    let report: @Sendable (WatchEvent) -> Void

    func open() throws -> Site { try Site(opening, overrides: overrides) }
}

/// One environment as its services see it.
struct WatchedEnvironment: Sendable {
    let name: String
    let place: WatchedSite

    func open() throws -> Site { try place.open() }

    func note(_ sentence: String) { place.report(.note(name, sentence)) }

    func note(_ sentences: [String]) {
        for sentence in sentences { note(sentence) }
    }

    /// Starts a service; says what is not done otherwise when there is no room for it.
    func start(_ service: Service, otherwise: String, _ make: @escaping @Sendable () -> any ServiceWork) {
        do { try service.start(make) } catch { note("\(otherwise): \(error)") }
    }
}

/// What the services of one environment leave for each other.
final class EnvironmentDesk: Sendable {
    /// The one that reconciles.
    private let main: Service
    private let opened = Mutex<TelemetryPipeline?>(nil)
    private let answers = Mutex<[SeriesAnswer]>([])

    init(main: Service) { self.main = main }

    /// Something came for the ledger that changes no file.
    func wakeMain() { main.wake() }

    // MARK: Telemetry

    /// The pipeline; nil until it is open, and when there is no telemetry.
    var pipeline: TelemetryPipeline? { opened.withLock { $0 } }

    func open(_ pipeline: TelemetryPipeline) {
        opened.withLock { $0 = pipeline }
        main.wake()
    }

    // MARK: Answers of Prometheus

    func leave(_ found: [SeriesAnswer]) {
        answers.withLock { $0 = found }
        main.wake()
    }

    var hasAnswers: Bool { answers.withLock { !$0.isEmpty } }

    /// The answers since the last call. Those that are lost on the way are asked for again.
    func takeAnswers() -> [SeriesAnswer] {
        answers.withLock { answers in
            defer { answers = [] }
            return answers
        }
    }
}
