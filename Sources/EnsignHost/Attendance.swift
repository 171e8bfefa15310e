import EnsignLedger
package import EnsignModel
import EnsignSystem

/// Whether something watches an environment between pushes. A canary needs that: holds end, telemetry comes in.
package struct Attendance: Sendable, Hashable {
    package enum Watcher: String, Sendable {
        /// `ensign watch` runs on this host.
        case watch
        /// `ensign reconcile` runs again and again.
        case timer
    }

    /// Nil for nobody.
    package var watcher: Watcher?
    /// When one was last seen at work; nil for never.
    package var lastSeen: Timestamp?

    /// - Returns: nil where that cannot be known: in a clone that does not reconcile, under another account, or when
    ///   the files cannot be read. No command fails because of it.
    package static func of(_ environment: String, _ site: Site, now: Timestamp) -> Attendance? {
        guard site.reconciles else { return nil }
        do {
            guard let isWatched = try FileLock.isHeld(site.files.watchLock(environment)) else { return nil }
            let visits = try StateFile<Status>(site.files, environment).read()?.visits ?? Visits()
            return Attendance(isWatched: isWatched, visits, now: now)
        } catch {
            return nil
        }
    }

    /// A watch holds the lock: the kernel takes it from a watch that was killed. A timer is known only by its visits.
    package init(isWatched: Bool, _ visits: Visits, now: Timestamp) {
        watcher = isWatched ? .watch : visits.hasTimer(now) ? .timer : nil
        lastSeen = [visits.watch, visits.timer].compactMap { $0 }.max()
    }
}

/// When an environment was last reconciled by somebody who will come again. Kept in the status file.
package struct Visits: Sendable, Hashable {
    /// By `ensign watch`.
    package var watch: Timestamp?
    /// By `ensign reconcile`.
    package var run: Timestamp?
    /// By an `ensign reconcile` that came soon after the one before it: once is a person, twice is a timer.
    package var timer: Timestamp?

    package init(watch: Timestamp? = nil, run: Timestamp? = nil, timer: Timestamp? = nil) {
        self.watch = watch
        self.run = run
        self.timer = timer
    }

    /// The longest time between two runs of a timer.
    package static let timerPeriod: Int64 = 900

    package func adding(_ visitor: Visitor, at now: Timestamp) -> Visits {
        var visits = self
        switch visitor {
        case .watch: visits.watch = now
        case .run:
            if Self.isRecent(run, now) { visits.timer = now }
            visits.run = now
        case .passing: break
        }
        return visits
    }

    func hasTimer(_ now: Timestamp) -> Bool { Self.isRecent(timer, now) }

    /// A time in the future does not count: the clock was set.
    private static func isRecent(_ time: Timestamp?, _ now: Timestamp) -> Bool {
        time.map { (0...timerPeriod).contains(now.seconds(since: $0)) } ?? false
    }
}

/// Who reconciles.
package enum Visitor: Sendable {
    case watch
    /// `ensign reconcile`: somebody at a terminal, or a timer.
    case run
    /// A hook or another command, which says nothing about who comes next.
    case passing
}
