import EnsignCommandLine
import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignPolicy
import EnsignTargets

/// The route that agents read now.
enum LiveRoute {
    /// Where it was read.
    enum Origin: String {
        case live
        /// As it was recorded: this clone hosts no live directory.
        case ledger
    }

    /// - Throws: ``Failure`` for one that readers with the ledger's key would refuse, and for one that they would miss.
    static func read(_ agent: AgentID, _ environment: String, _ site: Site) throws -> (route: Route, from: Origin)? {
        let tip = try site.ledger(environment).checkedTip()
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        if !site.settings.isClient, let bytes = try site.target(environment).read(LivePath.route(agent)) {
            return (try check(bytes, agent, environment, recorded, tip), .live)
        }
        guard site.reconciles else { return (try recorded.agent(agent)?.route).map { ($0, .ledger) } }
        // A reconcile may have taken it away since.
        let newest = RecordedTree(repository: site.repository, tip: try site.ledger(environment).checkedTip())
        guard let route = try newest.agent(agent)?.route else { return nil }
        guard route.phase == .halted else { throw failure(agent, environment, "is missing") }
        return (route, .ledger)
    }

    private static func check(
        _ bytes: [UInt8],
        _ agent: AgentID,
        _ environment: String,
        _ recorded: RecordedTree,
        _ tip: RecordedEntry?
    ) throws -> Route {
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
