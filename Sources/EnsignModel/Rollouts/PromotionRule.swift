/// What an environment demands of versions that come to it: `promotesFrom` and `soak`; and of whom it does not: `keepFor`.
package struct PromotionRule: Sendable, Hashable {
    /// The environment that they come from.
    package var source: String
    /// How long they must have been stable there, in seconds; 0 demands the order alone.
    package var soak: Int64
    /// What was stable here so many seconds ago at most comes in as it always did; nil where an earlier Ensign wrote it.
    package var keepFor: Int64?

    package init(source: String, soak: Int64, keepFor: Int64? = nil) {
        self.source = source
        self.soak = soak
        self.keepFor = keepFor
    }
}

extension PromotionRule {
    package var json: JSONValue {
        var object: JSONObject = ["promotesFrom": .string(source), "seconds": .integer(soak)]
        if let keepFor { object["keepFor"] = .integer(keepFor) }
        return .object(object)
    }

    package init?(json: JSONValue) {
        guard let source = json["promotesFrom"]?.string, let soak = json["seconds"]?.count else { return nil }
        let keepFor = json["keepFor"]?.count
        guard (keepFor == nil) == (json["keepFor"] == nil) else { return nil }
        self.init(source: source, soak: soak, keepFor: keepFor)
    }
}
