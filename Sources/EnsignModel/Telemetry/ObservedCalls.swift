/// Calls of one bundle that the gateway only observed.
package struct ObservedCalls: Sendable, Hashable {
    /// The most operations and reasons that are told apart.
    package static let mostRows = 64

    /// What would have been refused, and why.
    package struct Refused: Sendable, Hashable {
        /// `<tool>.<operation>`, or what was asked for where that is none.
        package var operation: String
        /// In the gateway's word.
        package var reason: String
    }

    package struct Count: Sendable, Hashable {
        package var number: Int64
        package var last: Timestamp
    }

    /// When the first call was seen, and the last.
    package private(set) var since: Timestamp
    package private(set) var last: Timestamp
    /// All calls, refused or not.
    package private(set) var calls: Int64 = 0
    package private(set) var refusals: [Refused: Count] = [:]
    /// Calls that would have been refused, beyond those that are told apart.
    package private(set) var others: Int64 = 0

    package init(at time: Timestamp) { (since, last) = (time, time) }

    /// How many calls would have been refused.
    package var wouldRefuse: Int64 { refusals.values.reduce(others) { $0.adding(saturating: $1.number) } }

    /// Of how many operations they are.
    package var operations: Int { Set(refusals.keys.map(\.operation)).count }

    /// The most frequent first.
    package var sorted: [(what: Refused, count: Count)] {
        refusals.map { ($0.key, $0.value) }.sorted {
            ($1.1.number, $0.0.operation, $0.0.reason) < ($0.1.number, $1.0.operation, $1.0.reason)
        }
    }

    package mutating func take(_ ruling: GatewayRuling, namesNew: Bool) {
        let time = ruling.time.timestamp
        (since, last) = (min(since, time), max(last, time))
        calls = calls.adding(saturating: 1)
        guard let reason = ruling.wouldRefuse else { return }
        let what = Refused(operation: ruling.operation.cut(utf8: 200), reason: reason)
        add(what, Count(number: 1, last: time), namesNew: namesNew)
    }

    private mutating func add(_ what: Refused, _ count: Count, namesNew: Bool) {
        guard let known = refusals[what] else {
            guard namesNew, refusals.count < Self.mostRows else {
                return others = others.adding(saturating: count.number)
            }
            return refusals[what] = count
        }
        refusals[what] = Count(
            number: known.number.adding(saturating: count.number),
            last: max(known.last, count.last)
        )
    }

    package mutating func formUnion(_ other: ObservedCalls) {
        (since, last) = (min(since, other.since), max(last, other.last))
        calls = calls.adding(saturating: other.calls)
        others = others.adding(saturating: other.others)
        for (what, count) in other.sorted { add(what, count, namesNew: true) }
    }

    /// `12 calls of 3 operations would have been refused since 2026-11-20T10:00:00Z, of 340: 8 crm.update (arguments), ...`
    package var sentence: String {
        guard wouldRefuse > 0 else { return "none of \(counted(calls, "call")) since \(since) would have been refused" }
        let named = sorted.prefix(5).map {
            "\($0.count.number) \($0.what.operation.onOneLine(utf8: 80)) (\($0.what.reason))"
        }
        let more = sorted.count > 5 || others > 0 ? " and more" : ""
        return "\(counted(wouldRefuse, "call")) of \(counted(operations, "operation")) would have been refused "
            + "since \(since), of \(calls): \(named.joined(separator: ", "))\(more)"
    }

    // MARK: JSON

    package var json: JSONValue {
        [
            "since": .string(since.description), "last": .string(last.description), "calls": .integer(calls),
            "wouldRefuse": .integer(wouldRefuse),
            "refusals": .array(
                sorted.map { what, count in
                    [
                        "operation": .string(what.operation), "reason": .string(what.reason),
                        "count": .integer(count.number), "last": .string(count.last.description),
                    ]
                }
            ),
            "others": .integer(others),
        ]
    }

    package init?(json: JSONValue) {
        guard let since = json["since"]?.string.flatMap({ Timestamp($0) }),
            let last = json["last"]?.string.flatMap({ Timestamp($0) }),
            let calls = json["calls"]?.count, let others = json["others"]?.count,
            let rows = json["refusals"]?.array, rows.count <= Self.mostRows
        else { return nil }
        (self.since, self.last, self.calls, self.others) = (since, last, calls, others)
        for row in rows {
            guard let operation = row["operation"]?.string, let reason = row["reason"]?.string,
                let number = row["count"]?.count, let last = row["last"]?.string.flatMap({ Timestamp($0) })
            else { return nil }
            refusals[Refused(operation: operation, reason: reason)] = Count(number: number, last: last)
        }
    }
}

/// What is known of one agent that is only observed.
package struct ObservedEvidence: Sendable, Hashable {
    package var calls: ObservedCalls
    /// Whether nothing was seen with the bundles that its sessions have now, so that this is of those before.
    package var isOfEarlier: Bool

    package init(calls: ObservedCalls, isOfEarlier: Bool) {
        (self.calls, self.isOfEarlier) = (calls, isOfEarlier)
    }

    package var sentence: String {
        isOfEarlier ? "\(calls.sentence); all with earlier bundles, none with what is live" : calls.sentence
    }

    package var json: JSONValue {
        var object = calls.json.object ?? [:]
        object["earlier"] = .bool(isOfEarlier)
        return .object(object)
    }
}
