package import EnsignHost
package import EnsignLedger
package import EnsignModel
package import EnsignReconciler

/// Who is only observed in an environment, and what the gateway would have refused of them.
package struct ObservedAgents: Sendable, Hashable {
    package struct Row: Sendable, Hashable {
        package var agent: AgentID
        /// Nil where no call of it was seen.
        package var evidence: ObservedEvidence?
    }

    package var environment: String
    /// Where the gateway runs, in the operator's words; nil where none is named.
    package var gateway: String?
    /// Sorted by agent.
    package var rows: [Row]
    /// Why nothing can be known here; nil where it can.
    package var obstacle: Observations.Obstacle?

    /// - Parameter tip: The newest entry.
    package static func look(_ site: Site, _ environment: String, _ tip: RecordedEntry) throws -> ObservedAgents {
        let observing = try ObservingAgents.find(tip, site.ledger(environment))
        let known = Observations.kept(site, environment, of: Set(observing.keys))
        return ObservedAgents(
            environment: environment,
            gateway: site.settings.gateway(environment),
            rows: observing.sorted { $0.key < $1.key }.map { agent, bundles in
                Row(agent: agent, evidence: known.book.evidence(of: agent, with: bundles))
            },
            obstacle: observing.isEmpty ? nil : known.obstacle
        )
    }

    // MARK: In words

    /// The most agents that are named.
    private static let maxNamed = 20

    /// Who observes, and what is known of it; empty where nobody does.
    package var sentences: [String] {
        guard !rows.isEmpty else { return [] }
        let verb = rows.count == 1 ? "observes" : "observe"
        var sentences = [
            "\(counted(rows.count, "agent")) \(verb) (mode: observe), so what the gateway would refuse is let through: "
                + Self.named(rows)
        ]
        if gateway == nil { sentences.append(Observations.noGateway(environment)) }
        let seen = rows.filter { $0.evidence != nil }.sorted {
            ($1.evidence?.calls.wouldRefuse ?? 0, $0.agent) < ($0.evidence?.calls.wouldRefuse ?? 0, $1.agent)
        }
        sentences += seen.prefix(Self.maxNamed).map { "\($0.agent): \($0.evidence?.sentence ?? "")" }
        if seen.count > Self.maxNamed {
            let rest = seen.dropFirst(Self.maxNamed)
            let calls = rest.reduce(Int64(0)) { $0.adding(saturating: $1.evidence?.calls.wouldRefuse ?? 0) }
            sentences.append("of \(rest.count) more agents \(counted(calls, "call")) would have been refused")
        }
        let unseen = rows.filter { $0.evidence == nil }
        if let obstacle {
            sentences.append("what would have been refused is not known: \(obstacle.text(environment))")
        } else if !unseen.isEmpty {
            sentences.append(
                "nothing is known of what would have been refused of \(Self.named(unseen)): no call was read in a gateway's spans ('ensign reconcile' reads them)"
            )
        }
        return sentences
    }

    private static func named(_ rows: [Row]) -> String {
        rows.prefix(maxNamed).map(\.agent.description).joined(separator: ", ")
            + (rows.count > maxNamed ? " and \(rows.count - maxNamed) more" : "")
    }

    /// The most agents that are listed with what is known of them, those with most refusals first; all are counted.
    private static let maxListed = 100

    package var json: JSONValue {
        let seen = rows.compactMap { row in row.evidence.map { (agent: row.agent, evidence: $0) } }
        let listed = seen.sorted {
            ($1.evidence.calls.wouldRefuse, $0.agent) < ($0.evidence.calls.wouldRefuse, $1.agent)
        }
        func sum(_ value: (ObservedCalls) -> Int64) -> JSONValue {
            .integer(seen.reduce(Int64(0)) { $0.adding(saturating: value($1.evidence.calls)) })
        }
        return [
            "gateway": gateway.map { .string($0) } ?? .null, "count": .integer(Int64(rows.count)),
            "calls": sum(\.calls), "wouldRefuse": sum(\.wouldRefuse),
            "since": seen.map(\.evidence.calls.since).min().map { .string($0.description) } ?? .null,
            "notSeen": .integer(Int64(rows.count - seen.count)),
            "obstacle": obstacle.map { .string($0.text(environment)) } ?? .null,
            "agents": .array(
                listed.prefix(Self.maxListed).map { agent, evidence in
                    var object = evidence.json.object ?? [:]
                    object["agent"] = .string(agent.description)
                    return .object(object)
                }
            ),
        ]
    }
}
