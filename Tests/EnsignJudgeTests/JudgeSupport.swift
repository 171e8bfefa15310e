import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignJudge

extension Judge {
    /// Adds samples of its first metric that come in turn until it decides.
    ///
    /// - Returns: How many of each variant were added.
    @discardableResult
    mutating func feed(
        _ most: Int,
        _ random: inout SeededGenerator,
        stable: (inout SeededGenerator) -> Double,
        canary: (inout SeededGenerator) -> Double
    ) -> Int {
        for index in 0..<most {
            add(stable(&random), metricAt: 0, .stable)
            add(canary(&random), metricAt: 0, .canary)
            if decision != nil { return index + 1 }
        }
        return most
    }
}

/// The count that a binomial variable exceeds with a probability below one in a million.
func mostOf(_ trials: Int, _ probability: Double) -> Int {
    var left = 1.0
    for count in 0...trials {
        let coefficient = lgamma(Double(trials) + 1) - lgamma(Double(count) + 1) - lgamma(Double(trials - count) + 1)
        left -= exp(coefficient + Double(count) * log(probability) + Double(trials - count) * log1p(-probability))
        if left < 1e-6 { return count }
    }
    return trials
}

/// A canary of `support/refund-triage` as the analysis sees it: `c...` against `5...`.
func watched(_ metrics: Analysis.Metric..., weight: Int64 = 50, steps: [Int64] = [50]) throws -> WatchedCanary {
    let start = Timestamp(seconds: 1_795_251_600)
    let candidate = Candidate(
        side: Change.Side(version: version("1.5.0"), digest: digest("c")),
        artifact: digest("c"),
        kind: .behaviour,
        source: .zero,
        wanted: start
    )
    let progress = CanaryProgress(step: 0, weight: weight, stepSince: start, started: start, evidenceSince: start)
    let state = AgentState(
        stable: Change.Side(version: version("1.4.0"), digest: digest("5")),
        rollout: .canary(candidate, progress)
    )
    let analysis = Analysis(metrics: metrics, confidence: 0.95, deadline: nil, onInconclusive: .hold)
    let canary = Canary(
        steps: steps.map { Canary.Step(weight: $0, hold: TimeSpan(minutes: 1)) },
        analysis: analysis
    )
    return try #require(WatchedCanary(.triage, state, canary))
}

extension WatchedCanary {
    /// A sample of one of its versions, of a run that ended some milliseconds after it began.
    func sample(
        _ variant: Variant,
        at milliseconds: Int64,
        _ value: Double,
        _ metric: MetricName = .success,
        session: UInt64? = nil
    ) -> Sample {
        let time = Moment(since).advanced(milliseconds: milliseconds)
        return Sample(
            agent: agent,
            environment: "prod",
            bundle: variant == .canary ? candidate : stable,
            metric: metric,
            value: value,
            occurred: metric == .success || metric == .toolErrors ? value > 0 : nil,
            time: time,
            started: time,
            session: session
        )
    }
}
