import EnsignModel

/// Compares the prices that are used to count spending.
enum PriceDifferences {
    /// Each difference with its model; nil for all.
    ///
    /// - Parameters: Nil when the prices cannot be read.
    static func between(
        _ old: [String: Prices.Price]?,
        _ new: [String: Prices.Price]?
    ) -> [(model: String?, difference: GuardDifference)] {
        switch (old, new) {
        case (nil, nil): return []
        case (_?, nil):
            let text = "the prices cannot be read: what is spent is not counted"
            return [(nil, GuardDifference("prices", .loosened, text))]
        case (nil, _?):
            return [
                (nil, GuardDifference("prices", .tightened, "the prices can be read again: what is spent is counted"))
            ]
        case (let old?, let new?):
            return Set(old.keys).union(new.keys).sorted().compactMap { model in
                between(old[model], new[model], "prices.\(model)").map { (model, $0) }
            }
        }
    }

    private static func between(_ was: Prices.Price?, _ now: Prices.Price?, _ field: String) -> GuardDifference? {
        switch (was, now) {
        case (nil, nil): return nil
        case (_?, nil):
            return GuardDifference(
                field,
                .loosened,
                "the model no longer has a price: what is spent on it is not counted"
            )
        case (nil, _?):
            return GuardDifference(field, .tightened, "the model has a price: what is spent on it is counted")
        case (let was?, let now?):
            let parts = zip(was.parts, now.parts).filter { $0.dollars != $1.dollars && ($0.isWritten || $1.isWritten) }
            guard !parts.isEmpty else { return nil }
            let isLooser = parts.contains { $1.dollars < $0.dollars }
            let words = parts.map { old, new in
                "\(new.name) \(JSONValue(new.dollars).text) (was \(JSONValue(old.dollars).text))"
            }
            let effect = isLooser ? "rules on spending halt later" : "rules on spending halt earlier"
            return GuardDifference(
                field,
                isLooser: isLooser,
                "its price is \(words.joined(separator: ", ")) USD per million tokens: \(effect)"
            )
        }
    }
}

extension Prices.Price {
    /// What each kind of token costs: the price of `input` if none is written.
    fileprivate var parts: [(name: String, dollars: Double, isWritten: Bool)] {
        [
            ("input", input, true), ("output", output, true),
            ("cacheRead", cacheRead ?? input, cacheRead != nil),
            ("cacheWrite", cacheWrite ?? input, cacheWrite != nil),
        ]
    }
}
