/// One value of a series.
package struct PrometheusPoint: Sendable, Hashable {
    package var time: Moment
    package var value: Double

    package init(time: Moment, value: Double) {
        self.time = time
        self.value = value
    }
}

/// One series of a range query's answer.
package struct PrometheusSeries: Sendable, Hashable {
    package var labels: [String: String]
    /// Oldest first.
    package var points: [PrometheusPoint]

    package init(labels: [String: String], points: [PrometheusPoint]) {
        self.labels = labels
        self.points = points
    }
}
