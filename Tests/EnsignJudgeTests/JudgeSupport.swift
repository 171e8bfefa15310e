import EnsignModel
import EnsignTestSupport
import Foundation

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
