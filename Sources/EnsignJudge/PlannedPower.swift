package import EnsignModel

/// What a plan says about a canary before it starts.
package struct PlannedPower: Sendable, Hashable {
    package var power: Power
    /// Whether the agent's traffic is unknown.
    package var isAssumed: Bool
    package var sentences: [String]

    /// Assumed runs an hour without telemetry or a given number.
    package static let assumed = 60.0

    /// - Parameters:
    ///   - traffic: The agent's traffic; nil without telemetry.
    ///   - asked: A given number of runs an hour, which counts instead.
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
