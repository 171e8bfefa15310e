/// A moment in UTC with the resolution of telemetry: nanoseconds since 1970-01-01T00:00:00Z.
///
/// Values beyond 64 bits become the end of the range: after 2262 all moments are the same.
package struct Moment: Sendable, Hashable, Comparable {
    /// Within ±2^63 nanoseconds: the years 1677 to 2262.
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    package init(_ timestamp: Timestamp) {
        nanoseconds = timestamp.seconds.multiplied(saturating: 1_000_000_000)
    }

    /// The second in which it falls.
    package var timestamp: Timestamp {
        let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return Timestamp(seconds: remainder < 0 ? quotient - 1 : quotient)
    }

    /// This moment, so many milliseconds later (or earlier); stops at the ends of the range.
    package func advanced(milliseconds: Int64) -> Moment {
        Moment(nanoseconds: nanoseconds.adding(saturating: milliseconds.multiplied(saturating: 1_000_000)))
    }

    /// A moment of the record that has passed: itself, or `now` where a clock that was ahead has written it. What waits for
    /// such a moment would wait for days; nobody knows more than that it has passed.
    ///
    /// Records have whole seconds: two more are no sign of another clock.
    package func passed(by now: Moment) -> Moment { self > now.advanced(milliseconds: 2_000) ? now : self }

    /// Nanoseconds from another moment to this one; stops at the ends of the range.
    package func nanoseconds(since other: Moment) -> Int64 { nanoseconds.subtracting(saturating: other.nanoseconds) }

    package static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }
}
