/// What an environment demands of versions that come to it: `promotesFrom` and `soak`.
package struct PromotionRule: Sendable, Hashable {
    /// The environment that they come from.
    package var source: String
    /// How long they must have been stable there, in seconds; 0 demands the order alone.
    package var soak: Int64

    package init(source: String, soak: Int64) {
        self.source = source
        self.soak = soak
    }
}

extension PromotionRule {
    package var json: JSONValue { ["promotesFrom": .string(source), "seconds": .integer(soak)] }

    package init?(json: JSONValue) {
        guard let source = json["promotesFrom"]?.string, let soak = json["seconds"]?.count else { return nil }
        self.init(source: source, soak: soak)
    }
}
