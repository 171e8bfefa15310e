package import EnsignModel

/// Costs that were counted by the price of a bundle's own model, because the model that telemetry names has none.
package struct FallbackPrices: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        /// Spans.
        package var count: Int64
        /// `<provider>/<model>` of the newest; empty if it named none.
        package var model: String
    }

    package private(set) var agents: [AgentID: Entry] = [:]

    /// The most agents of which something is remembered.
    private static let limit = 10_000

    package init() {}

    package var isEmpty: Bool { agents.isEmpty }

    mutating func add(_ agent: AgentID, _ count: Int64, _ model: String) {
        guard agents[agent] != nil || agents.count < Self.limit else { return }
        let before = agents[agent]?.count ?? 0
        agents[agent] = Entry(count: before.adding(saturating: count), model: model)
    }

    /// An object by agent.
    package var json: JSONValue {
        .object(
            JSONObject(agents.map { ($0.key.description, [.integer($0.value.count), .string($0.value.model)]) })
        )
    }

    /// Reads it back; what cannot be read is left out.
    package init(json: JSONValue?) {
        for (name, value) in json?.object ?? [:] {
            guard let agent = AgentID(name), let count = value[0]?.int, count > 0, let model = value[1]?.string else {
                continue
            }
            add(agent, count, model)
        }
    }
}
