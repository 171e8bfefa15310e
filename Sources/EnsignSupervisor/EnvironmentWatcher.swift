import EnsignHost
import EnsignModel
import EnsignReconciler
import EnsignSystem

/// Keeps one environment converged until it is told to stop: the service that reconciles, and those that work beside it.
final class EnvironmentWatcher: Sendable {
    private let environment: WatchedEnvironment
    private let actor: Entry.Actor
    /// Nil where no forge is followed.
    private let forge: ForgeMail?
    private let desk: EnvironmentDesk
    private let main: Service
    private let telemetry: Service
    private let series: Service
    private let courier: Service
    /// Taken before the watch says that it watches.
    private let claim: WatchClaim?
    /// Whether another watch had the claim.
    private let isSecond: Bool

    init(_ environment: WatchedEnvironment, actor: Entry.Actor, forge: ForgeMail?) throws {
        self.environment = environment
        self.actor = actor
        self.forge = forge
        main = try Service()
        telemetry = try Service()
        series = try Service()
        courier = try Service()
        desk = EnvironmentDesk(main: main)
        do {
            claim = try WatchClaim(environment.name, environment.open())
            isSecond = claim == nil
        } catch let error as RepositoryGone {
            throw error
        } catch {
            // The claim is for others to see: nothing stops without it.
            (claim, isSecond) = (nil, false)
        }
        forge?.informs(courier)
    }

    /// - Throws: ``SystemError`` when there is no room for a thread that reconciles; without the others' threads it goes on.
    func start() throws {
        if isSecond {
            environment.note(
                "another watch looks after it already; this one works beside it, and takes over when that ends"
            )
        }
        try main.start { [self] in
            environment.start(telemetry, otherwise: "telemetry is not read") { [self] in
                TelemetryWork(environment, telemetry, desk)
            }
            environment.start(series, otherwise: "Prometheus is not asked") { [self] in
                SeriesWork(environment, series, desk)
            }
            environment.start(courier, otherwise: "notify is not run") { [self] in CourierWork(environment, courier) }
            return EnvironmentWork(
                environment,
                main,
                desk,
                courier: courier,
                series: series,
                forge: forge,
                actor: actor,
                claim: claim
            )
        }
    }

    /// Asks the services to end after what they are doing. What is to be delivered is delivered until the last reconcile has
    /// ended.
    func stop() {
        for service in [telemetry, series, main] { service.stop() }
    }

    func join() {
        main.join()
        for service in [courier, series, telemetry] { service.join() }
    }
}
