package import EnsignModel

/// What a plan says of a canary before it starts.
package struct PlannedPower: Sendable, Hashable {
    package var power: Power
    /// Whether nobody knows how much the agent runs.
    package var isAssumed: Bool
    package var sentences: [String]

    /// Runs an hour where there is no telemetry and nobody has said how many.
    package static let assumed = 60.0

    /// - Parameters:
    ///   - traffic: Of the agent; nil when there is no telemetry of it.
    ///   - asked: Runs an hour that somebody has named, which count instead.
    /// - Returns: nil when no analysis judges the canary.
    package init?(_ canary: Canary, traffic: Traffic?, runsPerHour asked: Double?, now: Timestamp) {
        guard let analysis = canary.analysis, !canary.steps.isEmpty else { return nil }
        let known = asked ?? traffic?.runsPerHour(at: Moment(now))
        isAssumed = known == nil
        power = Power(
            analysis,
            expected: traffic?.expectations(analysis) ?? [:],
            runsPerHour: known ?? Self.assumed,
            steps: canary.steps
        )
        let deadline = analysis.deadline.map { now.advanced(seconds: $0.seconds).description }
        sentences = power.sentences(deadline: deadline)
        if isAssumed {
            sentences.insert(
                "no telemetry of it here: assuming \(Decimal.short(Self.assumed)) runs an hour; --runs-per-hour N says otherwise",
                at: 0
            )
        }
    }

    package var json: JSONValue {
        func hours(_ value: Double?) -> JSONValue { value.map { JSONValue(Decimal.brief($0)) } ?? .null }
        return [
            "runsPerHour": JSONValue(Decimal.brief(power.runsPerHour)), "assumed": .bool(isAssumed),
            "metrics": .array(
                power.metrics.map {
                    [
                        "name": .string($0.name), "change": .string($0.change), "hoursToFail": hours($0.hoursToFail),
                        "hoursToPass": hours($0.hoursToPass),
                    ]
                }
            ),
            "hoursToPass": hours(power.hoursToPass), "concludes": .bool(power.concludes),
            "sentences": .array(sentences.map { .string($0) }),
        ]
    }
}
