import EnsignHost
import EnsignSystem

/// Delivers one environment's notifications beside its watcher: a command that hangs holds up nothing else. Woken when the
/// ledger may have an entry more.
///
/// A command that runs while it is stopped is ended, and run again by the next watcher.
struct CourierWork: ServiceWork {
    let environment: WatchedEnvironment
    let service: Service
    private var said = SaidOnce()

    init(_ environment: WatchedEnvironment, _ service: Service) {
        self.environment = environment
        self.service = service
    }

    mutating func turn() -> Service.Next {
        do {
            guard let courier = Courier(site: try environment.open(), environment: environment.name) else {
                return .after(.seconds(3_600))
            }
            let result = try courier.deliver(
                onlyDue: true,
                patience: .seconds(1),
                isCancelled: { [service] in service.isStopped }
            )
            if let failure = result.failure {
                let sentence = "notify failed, and is tried again: \(failure)"
                said.news(sentence).map(environment.note)
            } else if result.delivered > 0 {
                said = SaidOnce()
            }
            return .after(result.wait.map { max($0, .seconds(1)) } ?? .seconds(3_600))
        } catch is RepositoryGone {
            return .never
        } catch {
            said.news("notify: \(error)").map(environment.note)
            return .after(.seconds(60))
        }
    }
}
