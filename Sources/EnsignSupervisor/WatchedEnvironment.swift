import EnsignGit
import EnsignHost
import EnsignJudge
package import EnsignModel
package import EnsignReconciler
import EnsignSystem
import Synchronization

/// What a watch has to say.
package enum WatchEvent: Sendable {
    case reconciled(String, Reconciler.Report)
    case failed(String, any Error)
    case note(String, String)
    case fetchFailed(String)
    /// Fetching works again; since when it had failed.
    case fetchWorks(since: Timestamp)
}

/// The repository of a watch, and whom the watch informs. Every service opens it anew: a handle is for one thread.
struct WatchedSite: Sendable {
    let opening: Repository.Opening
    let overrides: [(key: String, value: String)]
    /// The git directory that the watch began with, ending in `/`.
    let commonDirectory: String
    /// Shared by everything that is watched.
    let hub = ChangeHub()
    let report: @Sendable (WatchEvent) -> Void

    /// - Throws: ``RepositoryGone`` before anything else is asked.
    func open() throws -> Site {
        try requireRepository()
        return try Site(opening, overrides: overrides)
    }

    /// Whether the repository was moved away or removed. Nothing may be written then: it would begin another one there.
    var isGone: Bool {
        do { return try Files.status(commonDirectory + "HEAD") == nil } catch { return false }
    }

    func requireRepository() throws(RepositoryGone) {
        if isGone { throw RepositoryGone(directory: commonDirectory) }
    }
}

/// The repository of a running watch is no longer where it was.
package struct RepositoryGone: Error, Sendable, Hashable, CustomStringConvertible {
    package var directory: String

    package var description: String { "the repository at \(directory) is gone: nothing is watched any more" }
}

/// One environment as its services see it.
struct WatchedEnvironment: Sendable {
    let name: String
    let place: WatchedSite

    func open() throws -> Site { try place.open() }

    /// Sees changes for one of its services.
    func monitor(waking service: Service) -> ChangeMonitor { ChangeMonitor(place.hub, waking: service) }

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

    /// Lets go of the pipeline: another directory is to be read. Whoever still works with it ends with it.
    func close() { opened.withLock { $0 = nil } }

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
