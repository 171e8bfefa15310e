import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignSystem

/// Names on the command line that must exist.
extension Invocation {
    /// An environment that neither the manifests nor a ledger know is a typo.
    func requireKnown(_ environment: String, _ site: Site) throws {
        try site.require(environment, among: site.environments([]))
    }

    /// The environment of `--env` for a question: one that this clone does not reconcile may be asked about too.
    func knownEnvironment(_ site: Site) throws -> String {
        let name = try environment()
        try site.require(name, among: site.knownEnvironments())
        return name
    }

    /// An agent without history that nothing declares is a typo.
    func requireKnown(_ agent: AgentID, _ environment: String, _ site: Site) throws {
        guard try site.desiredCommit() != nil else { return }
        let (fleet, _) = try site.fleet(at: nil, today: today)
        guard try !fleet.declares(agent), try !fleet.deploys(agent, in: environment) else { return }
        throw UsageError(
            message: "there is no agent '\(agent)', and '\(environment)' never had one",
            hint: Suggestion.hint(
                for: agent.description,
                among: try fleet.agents().map(\.description),
                plural: "agents"
            ),
            verb: verb.name
        )
    }

    /// `TOOL` or `TOOL.OPERATION`.
    func call(_ index: Int, needsOperation: Bool) throws -> (tool: String, operation: String?) {
        let text = argument(index) ?? ""
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.allSatisfy({ Name.isValid($0) }), parts.count == 2 || !needsOperation else {
            throw UsageError(
                message: "'\(text)' is not \(needsOperation ? "TOOL.OPERATION" : "TOOL or TOOL.OPERATION")",
                hint: "such as payments.refund",
                verb: verb.name
            )
        }
        return (parts[0], parts.count == 2 ? parts[1] : nil)
    }

    /// Who asks, for the ledger: `ada@fleet-1`.
    var operatorName: String { "\(Machine.userName)@\(Machine.hostName)" }
}
