package import EnsignHost
package import EnsignModel

/// A canary is under way and nothing watches it: it stays where it is, and a bad one is not taken back.
package struct WaitingCanary: Sendable, Hashable {
    private let environment: String
    /// When a watcher was last seen; nil for never.
    private let since: Timestamp?

    /// - Returns: nil when there is a watcher.
    package init?(_ environment: String, _ attendance: Attendance) {
        guard attendance.watcher == nil else { return nil }
        self.environment = environment
        since = attendance.lastSeen
    }

    /// Looks for a watcher only when there is something to wait for.
    init?(hasTrials: Bool, _ environment: String, _ site: Site, now: Timestamp) {
        guard hasTrials, let attendance = Attendance.of(environment, site, now: now) else { return nil }
        self.init(environment, attendance)
    }

    /// What is the matter and what to do, without a full stop.
    package var sentence: String {
        let since = since?.description ?? "init"
        return "canary waiting, no watcher since \(since): "
            + "run 'ensign watch', or 'ensign reconcile --env \(environment)' from a timer"
    }

    package var json: JSONValue { ["since": since.map { .string($0.description) } ?? .null] }
}

extension Attendance {
    package var json: JSONValue {
        [
            "by": watcher.map { .string($0.rawValue) } ?? .null,
            "lastSeen": lastSeen.map { .string($0.description) } ?? .null,
        ]
    }
}
