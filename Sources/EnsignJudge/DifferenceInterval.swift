import EnsignModel
import Glibc

/// A confidence sequence for how the canary's mean score compares with the stable one: `canary - k x stable` for any `k`.
///
/// Empirical Bernstein: for each `l` in `[0, 1)`, `exp(l S - psi(l) V)` is a supermartingale, with `S` the sum of block
/// differences less their expectations, `V` the sum of their squared distances from a prediction made before the block,
/// and `psi(l) = -log(1 - l) - l` (Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
/// confidence sequences" (2021), Theorem 4). Mixed over a grid of `l` (their section 3.2); the bound is where the mixture
/// reaches one over the error. Only displayed values depend on logarithms here; no verdict does.
struct DifferenceInterval: Sendable, Hashable {
    private(set) var blocks = 0.0
    private(set) var stableSum = 0.0
    private(set) var canarySum = 0.0
    /// Sums of squares and products of the distances from the predictions.
    private var stableSquares = 0.0
    private var canarySquares = 0.0
    private var products = 0.0

    init() {}

    /// Adds one block's mean scores, within 0 and 1.
    mutating func add(stable: Double, canary: Double) {
        let predicted = Swift.max(blocks, 1)
        let stableGap = stable - Swift.min(stableSum / predicted, 0.5)
        let canaryGap = canary - Swift.min(canarySum / predicted, 0.5)
        stableSquares += stableGap * stableGap
        canarySquares += canaryGap * canaryGap
        products += stableGap * canaryGap
        blocks += 1
        stableSum += stable
        canarySum += canary
    }

    /// Where `canary - scale x stable` lies, each end missed at most with probability `error` over all time.
    func bounds(scale: Double, error: Double) -> (low: Double, high: Double) {
        guard blocks > 0 else { return (-scale, 1) }
        let reach = Swift.max(scale, 1) + 0.5
        let variance =
            Swift.max(canarySquares - 2 * scale * products + scale * scale * stableSquares, 0) / (reach * reach)
        let middle = (canarySum - scale * stableSum) / blocks
        let width = reach * Self.boundary(variance, error: error) / blocks
        return (Swift.max(middle - width, -scale), Swift.min(middle + width, 1))
    }

    /// Where the ratio of the means lies, each end missed at most with probability `error` over all time.
    func ratioBounds(error: Double) -> (low: Double, high: Double?) {
        func search(_ isInside: (Double) -> Bool) -> Double {
            var low = 0.0
            var high = 1024.0
            for _ in 0..<32 {
                let middle = (low + high) / 2
                if isInside(middle) { low = middle } else { high = middle }
            }
            return (low + high) / 2
        }
        let low = search { bounds(scale: $0, error: error).low > 0 }
        let high = search { bounds(scale: $0, error: error).high >= 0 }
        return (low, high > 1000 ? nil : high)
    }

    /// The sum that the mixture over the grid needs to reach one over the error, with this variance so far.
    static func boundary(_ variance: Double, error: Double) -> Double {
        let grid = (0..<14).map { 0.9 * pow(2, -Double($0) / 1.5) }
        let target = log(1 / error) + log(Double(grid.count))
        func evidence(_ sum: Double) -> Double {
            let exponents = grid.map { $0 * sum - (-log1p(-$0) - $0) * variance }
            let largest = exponents.max() ?? 0
            return largest + log(exponents.reduce(0) { $0 + exp($1 - largest) })
        }
        var low = 0.0
        var high = target + 4 * variance + 64
        for _ in 0..<36 {
            let middle = (low + high) / 2
            if evidence(middle) < target { low = middle } else { high = middle }
        }
        return high
    }
}

extension DifferenceInterval {
    var json: JSONValue {
        .doubles([blocks, stableSum, canarySum, stableSquares, canarySquares, products])
    }

    init?(json: JSONValue) {
        guard let values = json.doubles, values.count == 6 else { return nil }
        blocks = values[0]
        stableSum = values[1]
        canarySum = values[2]
        stableSquares = values[3]
        canarySquares = values[4]
        products = values[5]
    }
}
