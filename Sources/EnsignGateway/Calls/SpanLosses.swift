/// Spans that could not be written, as the operator is told of them: the first at once, then how many more at most each minute.
struct SpanLosses: Sendable {
    /// Since something was said last.
    private var unsaid = 0
    private var reason = ""
    private var said: ContinuousClock.Instant?

    private static let pause = Duration.seconds(60)

    mutating func add(_ reason: String) {
        unsaid += 1
        self.reason = reason
    }

    /// What is to be said now, if anything.
    ///
    /// - Parameter all: Whether there will be no other moment for it.
    mutating func news(_ now: ContinuousClock.Instant, all: Bool = false) -> String? {
        guard unsaid > 0 else { return nil }
        if let said, now - said < Self.pause, !all { return nil }
        let count = unsaid
        defer { (unsaid, said) = (0, now) }
        return "\(count == 1 ? "a span" : "\(count) spans") of calls could not be written: \(reason)"
    }
}
