package import EnsignLedger
package import EnsignModel

/// What the gateway would have refused of the agents of which it only observes (`mode: observe`): by agent and bundle, as its
/// spans say.
///
/// Kept in the telemetry pipeline's checkpoint, so that each span counts once, and copied into a file of its own, from which
/// `status` and plans read. A bundle is forgotten when none of its calls came for ``keptDays``.
package struct ObservationBook: Sendable, Hashable {
    /// How long a bundle is remembered after its last call.
    package static let keptDays: Int64 = 30
    /// The most bundles of an agent: those that were called with last.
    static let mostBundles = 4
    /// The most operations and reasons of all agents together; what comes later is counted, and not by name.
    static let mostRows = 100_000

    package private(set) var agents: [AgentID: [Digest: ObservedCalls]] = [:]
    private var rows = 0

    package init() {}

    /// Takes a call of an agent that is only observed.
    mutating func take(_ ruling: GatewayRuling) {
        var bundles = agents[ruling.agent] ?? [:]
        if bundles[ruling.bundle] == nil, bundles.count >= Self.mostBundles,
            let oldest = bundles.min(by: { $0.value.last < $1.value.last })
        {
            bundles[oldest.key] = nil
            rows -= oldest.value.refusals.count
        }
        let before = bundles[ruling.bundle]
        var calls = before ?? ObservedCalls(at: ruling.time.timestamp)
        calls.take(ruling, namesNew: rows < Self.mostRows)
        rows += calls.refusals.count - (before?.refusals.count ?? 0)
        bundles[ruling.bundle] = calls
        agents[ruling.agent] = bundles
    }

    /// Forgets bundles that nobody has called with since a moment.
    mutating func forget(before moment: Timestamp) {
        for (agent, bundles) in agents {
            let left = bundles.filter { $0.value.last >= moment }
            if left.count < bundles.count { agents[agent] = left.isEmpty ? nil : left }
        }
        rows = agents.values.reduce(0) { $0 + $1.values.reduce(0) { $0 + $1.refusals.count } }
    }

    /// What is known of an agent, first of the bundles that its sessions have now.
    ///
    /// - Returns: Nil when no call of it was seen.
    package func evidence(of agent: AgentID, with present: [Digest]) -> ObservedEvidence? {
        guard let bundles = agents[agent], !bundles.isEmpty else { return nil }
        let own = present.compactMap { bundles[$0] }
        var all = own.isEmpty ? Array(bundles.values) : own
        var calls = all.removeFirst()
        for other in all { calls.formUnion(other) }
        return ObservedEvidence(calls: calls, isOfEarlier: own.isEmpty)
    }
}

// MARK: - Kept

extension ObservationBook {
    /// As the checkpoint has it.
    var json: JSONValue {
        .object(JSONObject(agents.sorted { $0.key < $1.key }.map { ($0.key.description, Self.json($0.value)) }))
    }

    init?(json: JSONValue) {
        guard let object = json.object else { return nil }
        for (name, value) in object {
            guard let agent = AgentID(name), add(agent, value) else { return nil }
        }
    }

    private static func json(_ bundles: [Digest: ObservedCalls]) -> JSONValue {
        .object(JSONObject(bundles.sorted { $0.key.hex < $1.key.hex }.map { ($0.key.hex, $0.value.json) }))
    }

    /// - Returns: Whether it can be read.
    private mutating func add(_ agent: AgentID, _ value: JSONValue) -> Bool {
        guard let bundles = value.object, bundles.count <= Self.mostBundles else { return false }
        for (hex, value) in bundles {
            guard let digest = Digest(hex: hex), let calls = ObservedCalls(json: value) else { return false }
            agents[agent, default: [:]][digest] = calls
            rows += calls.refusals.count
        }
        return true
    }
}

extension ObservationBook: StateValue {
    /// A copy of what the checkpoint has, so it need not reach the disk by itself.
    package static let kind = StateKind("state/<env>/observed", .memory, limit: 1 << 26)

    package init?(_ contents: StateContents) { self.init(contents) { _ in true } }

    package init?(_ contents: StateContents, where isWanted: (AgentID) -> Bool) {
        for record in contents.records {
            guard let agent = AgentID(record.key), isWanted(agent) else { continue }
            guard let value = record.value, add(agent, value) else { return nil }
        }
    }

    package var contents: StateContents {
        StateContents(
            [:],
            records: agents.sorted { $0.key < $1.key }.map { StateRecord($0.key.description, Self.json($0.value)) }
        )
    }
}
