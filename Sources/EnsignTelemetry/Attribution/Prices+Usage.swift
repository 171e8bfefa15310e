package import EnsignModel

extension Prices {
    /// The price of the first of some models that has one; nil if none does.
    ///
    /// - Parameter models: `<provider>/<model>`.
    func price(of models: [String]) -> Price? { models.lazy.compactMap { self.models[$0] }.first }
}

extension Prices.Price {
    /// What tokens cost in US dollars.
    ///
    /// Tokens read from a cache cost `cacheRead`, tokens written to one `cacheWrite`, all other input `input`; where a
    /// price is missing, `input`.
    package func cost(of usage: TokenUsage) -> Double {
        let plain = usage.input - usage.cacheRead - usage.cacheWrite
        let dollars =
            Double(plain) * input + Double(usage.cacheRead) * (cacheRead ?? input)
            + Double(usage.cacheWrite) * (cacheWrite ?? input) + Double(usage.output) * output
        return dollars / 1_000_000
    }
}
