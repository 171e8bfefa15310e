package import EnsignLedger
import EnsignModel
import EnsignSystem

/// The two clocks that holds use: the wall's, which people can set, and the machine's, which they cannot.
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

/// Both clocks at one moment.
///
/// Kept from when rollouts were first looked at, or from when the clock was last set, and advanced by the machine's own
/// clock alone: many small settings add up. Without it, and after a restart of the machine, the wall clock is believed.
package struct ClockReading: Hashable, Sendable {
    package var boot: String
    var sinceBoot: Int64
    var wall: Int64

    package init(boot: String, sinceBoot: Int64, wall: Int64) {
        self.boot = boot
        self.sinceBoot = sinceBoot
        self.wall = wall
    }

    /// Network time moves a clock by less than this; a larger move means that somebody set it.
    static let tolerance: Int64 = 30

    package static func now(_ clock: SystemClock) -> ClockReading? {
        clock.sinceBoot().map {
            ClockReading(boot: $0.boot, sinceBoot: $0.seconds, wall: Timestamp(seconds: clock.wall()).seconds)
        }
    }

    /// By how many seconds the wall clock has strayed from time itself since an earlier reading; nil within the
    /// tolerance.
    package func step(since earlier: ClockReading) -> Int64? {
        guard boot == earlier.boot else { return nil }
        let passed = sinceBoot.subtracting(saturating: earlier.sinceBoot)
        let error = wall.subtracting(saturating: earlier.wall).subtracting(saturating: passed)
        return error.magnitude > Self.tolerance.magnitude ? error : nil
    }

    /// By how many seconds the clock was set since a reading that was kept; nil when it was not, or when that is not known.
    package static func step(_ clock: SystemClock, since file: StateFile<ClockReading>) throws -> Int64? {
        guard let now = now(clock) else { return nil }
        return try file.read().flatMap { now.step(since: $0) }
    }

    /// What the next reading is compared with.
    package func reference(after earlier: ClockReading) -> ClockReading {
        guard boot == earlier.boot, step(since: earlier) == nil else { return self }
        return ClockReading(
            boot: boot,
            sinceBoot: sinceBoot,
            wall: earlier.wall.adding(saturating: sinceBoot.subtracting(saturating: earlier.sinceBoot))
        )
    }
}

extension ClockReading: StateValue {
    package static let kind = StateKind(
        "state/<env>/clock",
        .memory,
        limit: 1_024,
        formerly: "cache/<env>/clock"
    )

    package init?(_ contents: StateContents) {
        self.init(boot: contents["boot"]?.string, sinceBoot: contents["sinceBoot"]?.int, wall: contents["wall"]?.int)
    }

    /// Of 0.1.0: three lines.
    package init?(former bytes: [UInt8]) {
        let parts = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard parts.count == 3 else { return nil }
        self.init(boot: String(parts[0]), sinceBoot: Int64(parts[1]), wall: Int64(parts[2]))
    }

    private init?(boot: String?, sinceBoot: Int64?, wall: Int64?) {
        guard let boot, let sinceBoot, let wall, sinceBoot >= 0, wall >= 0 else { return nil }
        self.init(boot: boot, sinceBoot: sinceBoot, wall: wall)
    }

    package var contents: StateContents {
        StateContents(["boot": .string(boot), "sinceBoot": .integer(sinceBoot), "wall": .integer(wall)])
    }
}
