/// How often an operation may be called: `30/m`, a whole number for each second, minute, hour or day.
///
/// In any stretch of time as long as the period there are at most so many calls.
package struct CallRate: Sendable, Hashable, CustomStringConvertible {
    package enum Period: String, Sendable, CaseIterable {
        case second = "s"
        case minute = "m"
        case hour = "h"
        case day = "d"

        package var seconds: Int64 {
            switch self {
            case .second: 1
            case .minute: 60
            case .hour: 3_600
            case .day: 86_400
            }
        }

        package var word: String {
            switch self {
            case .second: "second"
            case .minute: "minute"
            case .hour: "hour"
            case .day: "day"
            }
        }
    }

    package static let counts: ClosedRange<Int64> = 1...1_000_000

    /// 1 to 1,000,000.
    package let count: Int64
    package let period: Period

    /// - Parameter count: Brought into ``counts``.
    package init(count: Int64, period: Period) {
        self.count = min(max(count, Self.counts.lowerBound), Self.counts.upperBound)
        self.period = period
    }

    /// Parses `<count>/<s|m|h|d>`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let period = Period(rawValue: String(parts[1])), parts[0].utf8.count <= 7,
            parts[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }), parts[0].utf8.first != 0x30,
            let count = Int64(parts[0]), Self.counts.contains(count)
        else { return nil }
        self.init(count: count, period: period)
    }

    package var description: String { "\(count)/\(period.rawValue)" }

    /// `30 times a minute`, `once an hour`.
    package var words: String {
        "\(count == 1 ? "once" : "\(count) times") \(period == .hour ? "an" : "a") \(period.word)"
    }

    /// Whether every sequence of calls that keeps this rate keeps the other one too. False where that is not certain.
    package func keeps(_ other: CallRate) -> Bool {
        // So many of this one's periods cover one of the other's.
        let periods = max(1, other.period.seconds / period.seconds)
        return count * periods <= other.count
    }

    /// A rate that keeps both, the highest that one count and one period can say.
    package static func stricter(_ first: CallRate, _ second: CallRate) -> CallRate {
        if first.keeps(second) { return first }
        if second.keeps(first) { return second }
        return CallRate(
            count: min(first.count, second.count),
            period: first.period.seconds > second.period.seconds ? first.period : second.period
        )
    }
}
