/// What a metric of Prometheus asks for.
package struct PrometheusQuery: Sendable, Hashable {
    /// PromQL, as written: nothing is inserted.
    package var text: String
    /// How far apart its samples are.
    package var step: TimeSpan

    package init(text: String, step: TimeSpan) {
        self.text = text
        self.step = step
    }

    package static func == (left: PrometheusQuery, right: PrometheusQuery) -> Bool {
        left.text.hasSameUTF8(as: right.text) && left.step == right.step
    }

    package static let maxBytes = 4_096
    /// The length that a step may have, in milliseconds.
    package static let steps: ClosedRange<Int64> = 1_000...3_600_000
    /// The step when none is written.
    package static let standardStep = TimeSpan(minutes: 1)
}
