package import EnsignHost
package import EnsignLedger
package import EnsignModel
import EnsignPlanner

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
    package var obstacle: Obstacle?

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
        if gateway == nil { sentences.append(Self.noGateway(environment)) }
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
                "nothing is known of what would have been refused of \(Self.named(unseen)): no call was read in a gateway's spans"
            )
        }
        return sentences
    }

    static func noGateway(_ environment: String) -> String {
        "no gateway is named (ensign.\(environment).gateway), and without one neither observe nor enforce has an effect"
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

    /// Why nothing can be known here.
    package enum Obstacle: Sendable, Hashable {
        /// Another clone reads telemetry.
        case elsewhere
        case noTelemetry
        /// The account must not read it, or the disk does not give it.
        case unreadable(String)

        func text(_ environment: String) -> String {
            switch self {
            case .elsewhere: "the host of the fleet alone reads the gateway's spans"
            case .noTelemetry:
                "no telemetry is read here ('git config ensign.\(environment).telemetry DIRECTORY' names where the gateway writes its spans)"
            case .unreadable(let why): why
            }
        }
    }
}

/// The copy that the telemetry pipeline leaves for readers.
struct Observations {
    var book = ObservationBook()
    var obstacle: ObservedAgents.Obstacle?

    /// - Parameter agents: Others cost nothing.
    static func kept(_ site: Site, _ environment: String, of agents: Set<AgentID>) -> Observations {
        guard !agents.isEmpty else { return Observations() }
        guard site.reconciles else { return Observations(obstacle: .elsewhere) }
        do {
            let contents = try StateFile<ObservationBook>(site.files, environment).contents()
            let book = contents.flatMap { ObservationBook($0, where: agents.contains) } ?? ObservationBook()
            // What was read before stays known when the setting goes.
            let isRead = book.agents.isEmpty ? try site.settings.telemetry(environment) != nil : true
            return Observations(book: book, obstacle: isRead ? nil : .noTelemetry)
        } catch {
            return Observations(obstacle: .unreadable("\(error)"))
        }
    }
}

// MARK: - Plans

extension Plan {
    /// Says of each agent that is only observed, or no longer, what would have been refused; and counts who is.
    mutating func addObservations(_ site: Site) {
        let ledger = site.ledger(environment)
        let tip = try? ledger.tip()
        let observing = tip.flatMap { try? ObservingAgents.find($0, ledger) } ?? [:]
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        var after = Set(observing.keys)
        var concerned: [(index: Int, ends: Bool)] = []
        for (index, planned) in changes.enumerated() {
            let own = Set(observing[planned.agent] ?? [])
            let observes = planned.observes(own, recorded)
            if observes { after.insert(planned.agent) } else { after.remove(planned.agent) }
            let ends = !observes && planned.takesSessions && (planned.leavesObservation || !own.isEmpty)
            if ends || observes && !own.isEmpty { concerned.append((index, ends)) }
        }
        if !observing.isEmpty || !after.isEmpty {
            self.observing = PlannedObserving(before: observing.count, after: after.count)
        }
        guard !concerned.isEmpty else { return }
        let known = Observations.kept(site, environment, of: Set(concerned.map { changes[$0.index].agent }))
        for (index, ends) in concerned {
            let planned = changes[index]
            let bundles = observing[planned.agent] ?? [planned.change.from?.digest].compactMap { $0 }
            let hasNoGateway = site.reconciles && site.settings.gateway(environment) == nil
            changes[index].observation = PlannedObservation(
                ends: ends,
                evidence: known.book.evidence(of: planned.agent, with: bundles),
                obstacle: known.obstacle?.text(environment),
                noGateway: hasNoGateway ? ObservedAgents.noGateway(environment) : nil
            )
        }
    }
}

extension PlannedChange {
    /// Whether a session may be one that is only observed, afterwards.
    ///
    /// - Parameter known: Bundles of which that is known.
    fileprivate func observes(_ known: Set<Digest>, _ recorded: RecordedTree) -> Bool {
        (route?.targets ?? []).contains { target in
            if known.contains(target.digest) { return true }
            if let new = bundles.first(where: { $0.digest == target.digest }) { return new.mode == .observe }
            return (try? recorded.bundle(target.digest))?.mode == .observe
        }
    }

    fileprivate var takesSessions: Bool { route?.targets.isEmpty == false }

    fileprivate var leavesObservation: Bool {
        [differs.compared, stableDifference].compactMap { $0 }.flatMap(\.authority.changes).contains { change in
            if case .mode = change.what { change.direction == .lost } else { false }
        }
    }
}
