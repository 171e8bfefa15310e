/// A moment in UTC with the resolution of telemetry: nanoseconds since 1970-01-01T00:00:00Z.
package struct Moment: Sendable, Hashable, Comparable {
    /// Within ±2^63 nanoseconds: the years 1678 to 2262.
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    package init(_ timestamp: Timestamp) {
        let (product, overflow) = timestamp.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        nanoseconds = overflow ? (timestamp.seconds < 0 ? .min : .max) : product
    }

    /// The second in which it falls.
    package var timestamp: Timestamp {
        let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return Timestamp(seconds: remainder < 0 ? quotient - 1 : quotient)
    }

    /// This moment, so many milliseconds later (or earlier); stops at the ends of the range.
    package func advanced(milliseconds: Int64) -> Moment {
        let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
        let distance = overflow ? (milliseconds < 0 ? Int64.min : Int64.max) : product
        let (sum, overflowed) = nanoseconds.addingReportingOverflow(distance)
        return Moment(nanoseconds: overflowed ? (distance < 0 ? .min : .max) : sum)
    }

    /// Nanoseconds from another moment to this one; stops at the ends of the range.
    package func nanoseconds(since other: Moment) -> Int64 {
        let (difference, overflow) = nanoseconds.subtractingReportingOverflow(other.nanoseconds)
        return overflow ? (nanoseconds < other.nanoseconds ? .min : .max) : difference
    }

    package static func < (left: Moment, right: Moment) -> Bool { left.nanoseconds < right.nanoseconds }
}
