import EnsignCommandLine
import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignPolicy
import EnsignTargets

/// The route that agents read now.
enum LiveRoute {
    /// - Throws: ``Failure`` for one that readers with the ledger's key would refuse.
    static func read(_ agent: AgentID, _ environment: String, _ site: Site) throws -> Route? {
        let tip = try site.ledger(environment).checkedTip()
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        guard !site.settings.isClient, let bytes = try site.target(environment).read(LivePath.route(agent)) else {
            return try recorded.agent(agent)?.route
        }
        guard let route = try? Route(json: JSONParser.parse(bytes)) else {
            throw failure(agent, environment, "is damaged")
        }
        // As recorded it may have no proof yet; while something is published the ledger does not have it yet.
        if route.phase == .halted { return route }
        let known = try recorded.node(LivePath.route(agent)).map(recorded.bytes)
        if known == bytes { return route }
        let keys = LiveKeys(environment: environment, keys: tip?.successors ?? [])
        switch RouteReading.read(bytes, of: agent, in: environment, keys: keys) {
        case .success(let reading):
            let newest = known.flatMap { try? LiveProof.withoutProof($0).entry } ?? 0
            guard let entry = reading.proven?.entry, entry >= newest else {
                throw failure(agent, environment, "is older than the one on record")
            }
            return route
        case .failure(let refusal): throw failure(agent, environment, "is not to be believed: \(refusal)")
        }
    }

    private static func failure(_ agent: AgentID, _ environment: String, _ what: String) -> Failure {
        Failure(
            message: "the live route of '\(agent)' \(what)",
            hints: ["ensign reconcile --env \(environment) --observe all repairs it"],
            code: .integrity
        )
    }
}
