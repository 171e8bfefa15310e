import EnsignJSON
package import EnsignModel

/// What a reader may take a route's bytes for.
package enum RouteReading: Sendable, Hashable {
    /// The agent must not run. Needs no proof: whoever can write the directory can take the route away as well. With one
    /// it also takes back what was signed before.
    case halted(LiveProof.Proven?)
    /// The agent runs by this route.
    case open(Route, LiveProof.Proven)

    /// The proof, for ``SeenEntries``.
    package var proven: LiveProof.Proven? {
        switch self {
        case .halted(let proven): proven
        case .open(_, let proven): proven
        }
    }

    /// Reads a route. What is not proven is never anything but halted, or refused.
    ///
    /// - Returns: ``LiveProof/Refusal/malformed(_:)`` for what is signed and is not a route.
    package static func read(
        _ bytes: [UInt8],
        of agent: AgentID,
        in environment: String,
        keys: LiveKeys
    ) -> Result<RouteReading, LiveProof.Refusal> {
        of(LiveProof.verify(bytes, as: .route(agent), of: environment, keys: keys), bytes)
    }

    /// The same, where the proof was looked at before.
    static func of(
        _ result: Result<LiveProof.Proven, LiveProof.Refusal>,
        _ bytes: [UInt8]
    ) -> Result<RouteReading, LiveProof.Refusal> {
        switch result {
        case .success(let proven):
            guard let route = Route(json: .object(proven.value)) else {
                return .failure(.malformed("what is signed is not a route"))
            }
            return .success(route.phase == .halted ? .halted(proven) : .open(route, proven))
        case .failure(let refusal):
            return Route.isHalted(bytes) ? .success(.halted(nil)) : .failure(refusal)
        }
    }
}

extension Route {
    /// Whether bytes say that an agent is halted, whoever wrote them.
    package static func isHalted(_ bytes: [UInt8]) -> Bool {
        guard let json = try? JSONParser.parse(bytes), let phase = json["phase"]?.string else { return false }
        return phase == Phase.halted.rawValue
    }
}
