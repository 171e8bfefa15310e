/// A day in UTC, as a number: days since 1970-01-01.
package struct Day: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let number: Int64

    package init(number: Int64) { self.number = number }

    package init(_ time: Timestamp) {
        number = time.seconds >= 0 ? time.seconds / 86_400 : (time.seconds.adding(saturating: -86_399)) / 86_400
    }

    package init(_ moment: Moment) { self.init(moment.timestamp) }

    package func advanced(by days: Int64) -> Day { Day(number: number.adding(saturating: days)) }

    /// When it begins.
    package var start: Timestamp { Timestamp(seconds: number.multipliedReportingOverflow(by: 86_400).partialValue) }

    package var date: CalendarDate { start.date }

    package var description: String { date.description }

    package static func < (left: Day, right: Day) -> Bool { left.number < right.number }
}
