/// A duration as manifests write it: `<integer>` and `ms`, `s`, `m`, `h` or `d`.
package struct TimeSpan: Sendable, Hashable, CustomStringConvertible {
    package let milliseconds: Int64
    /// As it was written: `90m` stays `90m`.
    package let description: String

    /// Parses a duration; nil for anything else, and for more than 100 years.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 17 else { return nil }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let factor: Int64
        switch text.dropFirst(digits.count) {
        case "ms": factor = 1
        case "s": factor = 1_000
        case "m": factor = 60_000
        case "h": factor = 3_600_000
        case "d": factor = 86_400_000
        default: return nil
        }
        guard !digits.isEmpty, digits.count <= 15, let value = Int64(digits) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: factor)
        guard !overflow, product <= 36_525 * 86_400_000 else { return nil }
        milliseconds = product
        description = String(text)
    }

    package init(minutes: UInt16) {
        milliseconds = Int64(minutes) * 60_000
        description = "\(minutes)m"
    }

    /// A length as a manifest would write it, in the largest unit in which it is whole: `100m`.
    package static func short(milliseconds: Int64) -> String {
        let units: [(Int64, String)] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        for (factor, unit) in units where milliseconds % factor == 0 { return "\(milliseconds / factor)\(unit)" }
        return "\(milliseconds)ms"
    }

    /// Whole seconds, rounded down.
    package var seconds: Int64 { milliseconds / 1000 }

    package static func == (left: TimeSpan, right: TimeSpan) -> Bool { left.milliseconds == right.milliseconds }
    package func hash(into hasher: inout Hasher) { hasher.combine(milliseconds) }
}
