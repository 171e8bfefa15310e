import EnsignModel
import EnsignTestSupport
import Foundation

@testable import EnsignPlanner

func rateMetric(_ margin: Double = 0.05, good: Bool = true, name: String = "success") -> Analysis.Metric {
    Analysis.Metric(
        name: name,
        kind: .rate,
        good: good,
        unit: nil,
        margin: .absolute(margin)
    )
}

func costMetric(_ margin: Double = 0.2, name: String = "cost") -> Analysis.Metric {
    Analysis.Metric(
        name: name,
        kind: .distribution,
        good: nil,
        unit: "USD",
        margin: .relative(margin)
    )
}

func analysis(_ metrics: Analysis.Metric..., confidence: Double = 0.95, deadline: String? = nil) -> Analysis {
    Analysis(
        metrics: metrics,
        confidence: confidence,
        deadline: deadline.flatMap { TimeSpan($0) },
        onInconclusive: .hold
    )
}

extension SeededGenerator {
    mutating func share() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// 1 with probability `p`.
    mutating func outcome(_ p: Double) -> Double { share() < p ? 1 : 0 }

    mutating func lognormal(_ sigma: Double = 1, scale: Double = 0.02) -> Double {
        let angle = 2 * Double.pi * share()
        return scale * exp(sigma * cos(angle) * (-2 * log(1 - share())).squareRoot())
    }
}

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

/// A digest of one repeated hexadecimal digit.
func digest(_ digit: Character) -> Digest {
    guard let digest = Digest(hex: String(repeating: digit, count: 64)) else { preconditionFailure("\(digit) is none") }
    return digest
}
