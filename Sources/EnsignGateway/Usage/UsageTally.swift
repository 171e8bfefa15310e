import EnsignModel
import EnsignTelemetry

/// Tokens by the models that used them: what they cost is known when somebody asks, with the prices of then.
struct UsageTally: Sendable, Hashable {
    private(set) var models: [[String]: TokenUsage] = [:]

    /// Different models of one tally; what comes beyond has no price.
    static let most = 256

    var isEmpty: Bool { models.isEmpty }

    var tokens: Int64 { models.values.reduce(0) { $0.adding(saturating: $1.total) } }

    mutating func add(_ usage: TokenUsage, of names: [String]) {
        let names = models[names] != nil || models.count < Self.most ? names : []
        models[names] = models[names].map { $0.plus(usage) } ?? usage
    }

    mutating func add(_ other: UsageTally) {
        for (names, usage) in other.models { add(usage, of: names) }
    }

    mutating func subtract(_ other: UsageTally) {
        for (names, usage) in other.models {
            guard let rest = models[names]?.minus(usage) else { continue }
            models[names] = rest.total > 0 ? rest : nil
        }
    }

    /// US dollars; a model without a price costs nothing.
    ///
    /// - Parameter prices: By `<provider>/<model>`.
    func cost(_ prices: [String: Prices.Price]) -> Double {
        models.reduce(0) { cost, entry in
            let price = entry.key.lazy.compactMap { prices[$0] }.first
            return cost + (price?.cost(of: entry.value) ?? 0)
        }
    }

    /// Those models that have no price.
    func unpriced(_ prices: [String: Prices.Price]) -> [[String]] {
        models.keys.filter { names in !names.contains { prices[$0] != nil } }
    }
}

extension TokenUsage {
    static let none = TokenUsage(input: 0, output: 0, cacheRead: 0, cacheWrite: 0)

    private func with(_ other: TokenUsage, _ combine: (Int64, Int64) -> Int64) -> TokenUsage {
        var result = self
        result.input = combine(input, other.input)
        result.output = combine(output, other.output)
        result.cacheRead = combine(cacheRead, other.cacheRead)
        result.cacheWrite = combine(cacheWrite, other.cacheWrite)
        return result
    }

    func plus(_ other: TokenUsage) -> TokenUsage { with(other) { $0.adding(saturating: $1) } }

    /// What is left of each kind, at least nothing.
    func minus(_ other: TokenUsage) -> TokenUsage { with(other) { max(0, $0 - $1) } }

    /// The larger number of each kind.
    func larger(_ other: TokenUsage) -> TokenUsage { with(other, max) }
}
