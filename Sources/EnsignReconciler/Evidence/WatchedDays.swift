package import EnsignLedger
package import EnsignModel

/// The days of which an environment's telemetry was read: without them, "never called" would also be true of telemetry that
/// nobody kept.
///
/// A day counts when everything was read at some time in it, or when something that happened in it was read later.
package struct WatchedDays: Sendable, Hashable {
    /// The most ranges that are kept, the newest ones.
    static let most = 200

    /// Apart from each other, oldest first.
    package private(set) var ranges: [ClosedRange<Day>] = []

    package init() {}

    /// - Returns: Whether that is news.
    @discardableResult
    package mutating func insert(_ day: Day) -> Bool {
        guard !contains(day) else { return false }
        let before = ranges.lastIndex { $0.upperBound < day }
        let index = before.map { $0 + 1 } ?? 0
        var range = day...day
        if index < ranges.count, ranges[index].lowerBound == day.advanced(by: 1) {
            range = day...ranges.remove(at: index).upperBound
        }
        if let before, ranges[before].upperBound.advanced(by: 1) == day {
            ranges[before] = ranges[before].lowerBound...range.upperBound
        } else {
            ranges.insert(range, at: index)
        }
        if ranges.count > Self.most { ranges.removeFirst() }
        return true
    }

    package mutating func formUnion(_ other: WatchedDays) {
        for range in other.ranges {
            var day = range.lowerBound
            while day <= range.upperBound {
                // What is known already is passed over at once.
                if let known = ranges.first(where: { $0.contains(day) }) {
                    day = known.upperBound.advanced(by: 1)
                } else {
                    insert(day)
                    day = day.advanced(by: 1)
                }
            }
        }
    }

    package func contains(_ day: Day) -> Bool { ranges.contains { $0.contains(day) } }

    /// The first day from `first` to `last` that does not count; nil when all do.
    package func gap(from first: Day, to last: Day) -> Day? {
        guard first <= last else { return nil }
        guard let range = ranges.first(where: { $0.contains(first) }) else { return first }
        return range.upperBound >= last ? nil : range.upperBound.advanced(by: 1)
    }

    /// Since when every day counts up to `last`; nil when that one does not.
    package func since(upTo last: Day) -> Day? { ranges.last { $0.contains(last) }?.lowerBound }
}

extension WatchedDays: StateValue {
    package static let kind = StateKind("state/<env>/watched-days", .memory, limit: 1 << 16, isDurable: true)

    /// The longest range that is believed: ten centuries.
    private static let longest: Int64 = 366_000

    package init?(_ contents: StateContents) {
        guard let values = contents["days"]?.array else { return nil }
        for value in values {
            guard let first = value[0]?.int, let last = value[1]?.int, first <= last,
                last.subtracting(saturating: first) < Self.longest,
                ranges.last.map({ $0.upperBound.advanced(by: 1) < Day(number: first) }) ?? true,
                ranges.count < Self.most
            else { return nil }
            ranges.append(Day(number: first)...Day(number: last))
        }
    }

    package var contents: StateContents {
        StateContents([
            "days": .array(ranges.map { [.integer($0.lowerBound.number), .integer($0.upperBound.number)] })
        ])
    }
}
