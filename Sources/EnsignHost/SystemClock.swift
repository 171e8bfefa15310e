import EnsignModel
import EnsignSystem

/// The two clocks that holds go by: the wall's, which people can set, and the machine's, which they cannot.
package struct SystemClock: Sendable {
    /// Seconds since 1970.
    package var wall: @Sendable () -> Int64 = { Machine.now }
    /// Seconds since this machine started, sleep included, and which start that was.
    package var sinceBoot: @Sendable () -> (boot: String, seconds: Int64)? = { Machine.sinceBoot }

    package init() {}

    package init(
        wall: @escaping @Sendable () -> Int64,
        sinceBoot: @escaping @Sendable () -> (boot: String, seconds: Int64)? = { nil }
    ) {
        self.wall = wall
        self.sinceBoot = sinceBoot
    }
}

/// Both clocks as they stood at one moment: `<git dir>/ensign/cache/<env>/clock`.
///
/// Kept from when rollouts were first looked at, or from when the clock was last set, and moved on by the machine's own
/// clock alone: what is set in many small steps adds up. A cache: without it, and after a restart of the machine, the wall
/// clock is believed.
package struct ClockFile: Hashable {
    package var boot: String
    var sinceBoot: Int64
    var wall: Int64

    package init(boot: String, sinceBoot: Int64, wall: Int64) {
        self.boot = boot
        self.sinceBoot = sinceBoot
        self.wall = wall
    }

    /// Network time moves a clock by less than this; what moves it by more is somebody who sets it.
    static let tolerance: Int64 = 30

    package static func now(_ clock: SystemClock) -> ClockFile? {
        clock.sinceBoot().map {
            ClockFile(boot: $0.boot, sinceBoot: $0.seconds, wall: Timestamp(seconds: clock.wall()).seconds)
        }
    }

    /// By how many seconds the wall clock went another way than time itself since an earlier reading; nil when it is
    /// within the tolerance.
    package func step(since earlier: ClockFile) -> Int64? {
        guard boot == earlier.boot else { return nil }
        let passed = sinceBoot.subtracting(saturating: earlier.sinceBoot)
        let error = wall.subtracting(saturating: earlier.wall).subtracting(saturating: passed)
        return error.magnitude > Self.tolerance.magnitude ? error : nil
    }

    /// By how many seconds the clock was set since the reading in a file; nil when it was not, or when that is not known.
    package static func step(_ clock: SystemClock, since path: String) throws -> Int64? {
        guard let now = now(clock) else { return nil }
        return try read(path).flatMap { now.step(since: $0) }
    }

    /// What the next reading is held against.
    package func reference(after earlier: ClockFile) -> ClockFile {
        guard boot == earlier.boot, step(since: earlier) == nil else { return self }
        return ClockFile(
            boot: boot,
            sinceBoot: sinceBoot,
            wall: earlier.wall.adding(saturating: sinceBoot.subtracting(saturating: earlier.sinceBoot))
        )
    }

    package static func read(_ path: String) throws -> ClockFile? {
        guard let bytes = try Files.readOwn(path, limit: 1_024) else { return nil }
        let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard parts.count == 3, let sinceBoot = Int64(parts[1]), let wall = Int64(parts[2]), sinceBoot >= 0, wall >= 0
        else { return nil }
        return ClockFile(boot: String(parts[0]), sinceBoot: sinceBoot, wall: wall)
    }

    package func write(_ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try Files.replace(path, with: Array("\(boot)\n\(sinceBoot)\n\(wall)\n".utf8), durable: false)
    }
}
