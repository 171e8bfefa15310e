package import EnsignModel

/// What a plan says of an agent of which the gateway only observes, or no longer: nobody turns refusals on blind.
package struct PlannedObservation: Sendable, Hashable {
    /// Whether what the gateway refuses is refused from now on.
    package var ends: Bool
    /// What would have been refused so far; nil where no call was seen.
    package var evidence: ObservedEvidence?
    /// Why that cannot be known here; nil where it can.
    package var obstacle: String?
    /// That neither has an effect, where no gateway is named; nil where one is, and where that cannot be known.
    package var noGateway: String?

    package init(ends: Bool, evidence: ObservedEvidence?, obstacle: String?, noGateway: String?) {
        (self.ends, self.evidence, self.obstacle, self.noGateway) = (ends, evidence, obstacle, noGateway)
    }

    package var sentences: [String] {
        let known =
            evidence?.sentence
            ?? obstacle.map { "what would have been refused is not known: \($0)" }
            ?? "nothing is known of what would have been refused: no call of it was read in a gateway's spans"
        return [ends ? "no longer only observed: \(known)" : "only observed: \(known)"]
            + [noGateway].compactMap { $0 }
    }

    package var json: JSONValue {
        [
            "ends": .bool(ends), "evidence": evidence?.json ?? .null,
            "obstacle": obstacle.map { .string($0) } ?? .null, "hasGateway": .bool(noGateway == nil),
        ]
    }
}

/// How many agents of an environment are only observed.
package struct PlannedObserving: Sendable, Hashable {
    package var before: Int
    package var after: Int

    package init(before: Int, after: Int) { (self.before, self.after) = (before, after) }

    package var sentence: String {
        let rest = after == 0 ? "" : ": what the gateway would refuse of \(after == 1 ? "it" : "them") is let through"
        return before == after
            ? "Only observed (mode: observe): \(counted(after, "agent"))\(rest)"
            : "Only observed (mode: observe): \(counted(after, "agent")), \(before) before\(rest)"
    }

    package var json: JSONValue { ["before": .integer(Int64(before)), "after": .integer(Int64(after))] }
}
