package import EnsignModel

extension Prices {
    /// What tokens cost in US dollars; nil if none of the models has a price.
    ///
    /// Tokens read from a cache cost `cacheRead`, tokens written to one `cacheWrite`, all other input `input`; where a
    /// price is missing, `input`.
    ///
    /// - Parameter models: `<provider>/<model>`, the first with a price decides.
    package func cost(of usage: TokenUsage, models: [String]) -> Double? {
        guard let price = models.lazy.compactMap({ self.models[$0] }).first else { return nil }
        let plain = usage.input - usage.cacheRead - usage.cacheWrite
        let dollars =
            Double(plain) * price.input + Double(usage.cacheRead) * (price.cacheRead ?? price.input)
            + Double(usage.cacheWrite) * (price.cacheWrite ?? price.input) + Double(usage.output) * price.output
        return dollars / 1_000_000
    }
}
