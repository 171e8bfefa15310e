/// How soon live files that somebody changed are repaired: at once, and less often where something changes them again and
/// again, which would otherwise fill the ledger with repairs.
///
/// Pure: times are given. What counts is how long nothing was changed, not whether one look found nothing.
struct RepairPace: Sendable {
    /// Repairs since it was quiet.
    private var repairs = 0
    private var last: ContinuousClock.Instant?

    /// So many repairs come at once.
    static let prompt = 3
    static let longest = Duration.seconds(10)
    /// The least time without a repair after which all is forgotten; twice the present calm, where that is longer.
    static let quiet = Duration.seconds(5)

    /// For how long changes are gathered before they are looked at.
    var calm: Duration {
        guard repairs > Self.prompt else { return .zero }
        return min(.seconds(1 << min(repairs - Self.prompt - 1, 8)), Self.longest)
    }

    /// Takes note of a look at the live files.
    ///
    /// - Returns: Whether it slows down from here on.
    mutating func looked(hasRepaired: Bool, at now: ContinuousClock.Instant) -> Bool {
        if let last, now - last >= max(Self.quiet, calm * 2) { repairs = 0 }
        guard hasRepaired else { return false }
        last = now
        repairs = min(repairs + 1, 32)
        return repairs == Self.prompt + 1
    }
}
