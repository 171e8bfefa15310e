import EnsignHost
import EnsignReconciler
import EnsignSystem

/// Reads an environment's telemetry as it is written and stops agents that break a rule, on a thread of its own: a
/// reconcile that takes long must not keep the kill switch waiting.
///
/// A second service writes checkpoints. Stops wake the environment's own thread through the files that they change.
struct TelemetryWork: ServiceWork {
    private let environment: WatchedEnvironment
    private let service: Service
    private let desk: EnvironmentDesk
    private var checkpoints: Service?
    private var generator = SystemRandomNumberGenerator()
    private var retry = Backoff(base: .seconds(1), most: .seconds(30))
    private var said = SaidOnce()
    /// Nil until the pipeline is open, and after a failure.
    private var following: TelemetryFollowing?
    private var isFirst = true
    /// What the operator's settings say, and when they were looked at last.
    private var setting = Setting.none
    private var looked: ContinuousClock.Instant?

    /// How often settings are looked at: an operator sets telemetry once, and should not have to start the watch anew.
    private static let settingInterval = Duration.seconds(10)

    private enum Setting: Hashable {
        case none
        case directory(String)
        /// It cannot be used; why is said when the pipeline is opened.
        case bad
    }

    init(_ environment: WatchedEnvironment, _ service: Service, _ desk: EnvironmentDesk) {
        self.environment = environment
        self.service = service
        self.desk = desk
    }

    mutating func turn() -> Service.Next {
        followSetting()
        guard setting != .none else { return .after(Self.settingInterval) }
        if isFirst {
            startCheckpoints()
            isFirst = false
        }
        do {
            if following == nil { following = try open() }
            // A single reconcile has it; it will not take long.
            guard following != nil else { return .after(retry.delay(using: &generator)) }
            try following?.step {
                retry.succeeded()
                said = SaidOnce()
            }
            return .atOnce
        } catch {
            following = nil
            said.news("telemetry cannot be read: \(error)").map(environment.note)
            retry.failed()
            return .after(retry.delay(using: &generator))
        }
    }

    mutating func end() {
        checkpoints?.stop()
        checkpoints?.join()
        CheckpointWork(environment, desk).write()
    }

    /// Looks whether the operator has named another directory, and begins anew with it.
    private mutating func followSetting() {
        let now = ContinuousClock.now
        guard looked.map({ now - $0 >= Self.settingInterval }) ?? true else { return }
        // What cannot be read now stays as it was.
        guard let settings = try? environment.open().settings else { return }
        let isFirstLook = looked == nil
        looked = now
        var found = Setting.bad
        do throws(SettingsError) {
            found = try settings.telemetry(environment.name).map { .directory($0) } ?? .none
        } catch { found = .bad }
        guard found != setting else { return }
        setting = found
        guard !isFirstLook else { return }
        CheckpointWork(environment, desk).write()
        following = nil
        desk.close()
        switch found {
        case .none: environment.note("telemetry is no longer read: none is set")
        case .directory(let directory): environment.note("telemetry is read from \(directory) from now on")
        case .bad: break
        }
    }

    private mutating func startCheckpoints() {
        guard let service = try? Service() else {
            return environment.note("how far telemetry was read is written down only at the end")
        }
        checkpoints = service
        environment.start(service, otherwise: "how far telemetry was read is written down only at the end") {
            [environment, desk] in CheckpointWork(environment, desk)
        }
    }

    private func open() throws -> TelemetryFollowing? {
        let site = try environment.open()
        guard let pipeline = try desk.pipeline ?? TelemetryPipeline.open(site, environment.name) else { return nil }
        desk.open(pipeline)
        return TelemetryFollowing(pipeline, site, environment, service, desk)
    }
}

/// Writes down how far telemetry was read.
struct CheckpointWork: ServiceWork {
    private let environment: WatchedEnvironment
    private let desk: EnvironmentDesk

    /// What a crash costs in reading again.
    private static let interval = Duration.seconds(10)

    init(_ environment: WatchedEnvironment, _ desk: EnvironmentDesk) {
        self.environment = environment
        self.desk = desk
    }

    mutating func turn() -> Service.Next {
        write()
        return .after(Self.interval)
    }

    func write() {
        guard !environment.place.isGone else { return }
        do { try desk.pipeline?.checkpoint() } catch {
            environment.note("how far telemetry was read cannot be written down: \(error)")
        }
    }
}
