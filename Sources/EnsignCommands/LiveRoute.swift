import EnsignCommandLine
import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignTargets

/// The route that agents read now.
enum LiveRoute {
    static func read(_ agent: AgentID, _ environment: String, _ site: Site) throws -> Route? {
        if !site.settings.isClient, let bytes = try site.target(environment).read(LivePath.route(agent)) {
            guard let route = try? Route(json: JSONParser.parse(bytes)) else {
                throw Failure(
                    message: "the live route of '\(agent)' is damaged",
                    hints: ["ensign reconcile --env \(environment) --observe all repairs it"],
                    code: .integrity
                )
            }
            return route
        }
        let tip = try site.ledger(environment).tip()
        return try RecordedTree(repository: site.repository, tip: tip).agent(agent)?.route
    }
}
