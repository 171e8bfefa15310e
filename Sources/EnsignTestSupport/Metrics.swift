package import EnsignModel
import Foundation

package func rateMetric(_ margin: Double = 0.05, good: Bool = true, name: String = "success") -> Analysis.Metric {
    Analysis.Metric(
        name: name,
        kind: .rate,
        good: good,
        unit: nil,
        margin: .absolute(margin)
    )
}

package func costMetric(_ margin: Double = 0.2, name: String = "cost") -> Analysis.Metric {
    Analysis.Metric(
        name: name,
        kind: .distribution,
        good: nil,
        unit: "USD",
        margin: .relative(margin)
    )
}

package func analysis(_ metrics: Analysis.Metric..., confidence: Double = 0.95, deadline: String? = nil) -> Analysis {
    Analysis(
        metrics: metrics,
        confidence: confidence,
        deadline: deadline.flatMap { TimeSpan($0) },
        onInconclusive: .hold
    )
}

extension SeededGenerator {
    package mutating func share() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// 1 with probability `p`.
    package mutating func outcome(_ p: Double) -> Double { share() < p ? 1 : 0 }

    package mutating func lognormal(_ sigma: Double = 1, scale: Double = 0.02) -> Double {
        let angle = 2 * Double.pi * share()
        return scale * exp(sigma * cos(angle) * (-2 * log(1 - share())).squareRoot())
    }
}

/// A digest of one repeated hexadecimal digit.
package func digest(_ digit: Character) -> Digest {
    guard let digest = Digest(hex: String(repeating: digit, count: 64)) else { preconditionFailure("\(digit) is none") }
    return digest
}
