import EnsignHost
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignSystem

/// A canary is under way and nobody looks after it: it stays where it is, and a bad one is not taken back.
struct WaitingCanary {
    private let environment: String
    /// When a watcher was last seen; nil for never.
    private let since: Timestamp?

    /// Nil when there is a watcher.
    init?(_ environment: String, _ attendance: Attendance) {
        guard attendance.watcher == nil else { return nil }
        self.environment = environment
        since = attendance.lastSeen
    }

    /// After a reconcile. Looks for a watcher only when there is something to wait for.
    init?(_ report: Reconciler.Report, _ environment: String, _ site: Site) {
        self.init(report.hasRollouts, environment, site)
    }

    init?(_ report: RolloutReport, _ site: Site) {
        self.init(report.rows.contains { $0.state.rollout != nil }, report.environment, site)
    }

    private init?(_ hasRollouts: Bool, _ environment: String, _ site: Site) {
        guard hasRollouts, let attendance = Attendance.of(environment, site, now: Timestamp(seconds: Machine.now))
        else { return nil }
        self.init(environment, attendance)
    }

    var sentence: String {
        let since = since.map { "no watcher since \($0)" } ?? "there never was a watcher"
        return "canary waiting, \(since): run 'ensign watch', or 'ensign reconcile --env \(environment)' from a timer"
    }

    var json: JSONValue { ["since": since.map { .string($0.description) } ?? .null] }
}

extension Attendance {
    var json: JSONValue {
        [
            "by": watcher.map { .string($0.rawValue) } ?? .null,
            "lastSeen": lastSeen.map { .string($0.description) } ?? .null,
        ]
    }
}
