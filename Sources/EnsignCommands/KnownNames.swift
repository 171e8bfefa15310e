import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignSystem

/// Names on the command line that must exist.
extension Invocation {
    /// An environment that neither the manifests nor a ledger know is a typo.
    func requireKnown(_ environment: String, _ site: Site) throws {
        try site.require(environment, among: site.environmentNames())
    }

    /// The environment of `--env` for a question: one that this clone does not reconcile may be asked about too.
    func knownEnvironment(_ site: Site) throws -> String {
        let name = try environment()
        try site.require(name, among: site.knownEnvironments())
        return name
    }

    /// An agent that nothing declares and no ledger has anything of is a typo, in every command alike: status 64.
    ///
    /// - Parameter environment: Where it must have been; nil for any.
    func requireKnown(_ agent: AgentID, _ environment: String?, _ site: Site) throws {
        let commit = try site.desiredCommit()
        let fleet = try commit.map {
            try Fleet(snapshot: GitSnapshot(site.repository, tree: site.repository.commit($0).tree), today: today)
        }
        if let fleet, try fleet.declares(agent) { return }
        let environments = try environment.map { [$0] } ?? site.knownEnvironments().sorted()
        var known = Set(try fleet?.agents() ?? [])
        var present: AgentID?
        for name in environments {
            if let fleet, try fleet.deploys(agent, in: name) { return }
            // A ledger that cannot be read is not this question's business.
            guard let tip = try? site.ledger(name).tip() else { continue }
            let recorded = RecordedTree(repository: site.repository, tip: tip)
            if try recorded.agent(agent) != nil { return }
            known.formUnion(try recorded.agents())
            present = try present ?? MovedAgents.present(agent, site.ledger(name), tip)
        }
        let absence = environment.map { ", and '\($0)' has nothing of one" } ?? ""
        throw UsageError(
            message: "there is no agent '\(agent)'" + (present.map { ": it is '\($0)' now" } ?? absence),
            hint: present == nil ? known.hint(for: agent) : nil,
            verb: verb.name
        )
    }

    /// The version of an agent that an option names; nil without the option.
    func version(_ option: String) throws(UsageError) -> AgentVersion? {
        guard let text = self[option] else { return nil }
        guard let version = AgentVersion(text) else {
            throw UsageError(message: "'\(text)' is not a version: write MAJOR.MINOR.PATCH", verb: verb.name)
        }
        return version
    }

    /// Who asks, for the ledger: `ada@fleet-1`.
    var operatorName: String { "\(Machine.userName)@\(Machine.hostName)" }
}

extension Site {
    /// What somebody meant who left out the team, or misspelt the name; nil when that is not known.
    func agentsCalled(_ text: String, today: CalendarDate) -> String? {
        guard let fleet = try? fleet(at: nil, today: today).fleet, let agents = try? fleet.agents() else { return nil }
        let name = text.split(separator: "/").last.map(String.init) ?? text
        let same = agents.filter { $0.name == name }
        if let first = same.first {
            return same.count == 1
                ? "did you mean '\(first)'?" : "there are \(same.map(\.description).joined(separator: ", "))"
        }
        guard let nearest = Suggestion.nearest(to: name, in: agents.map(\.name)) else { return nil }
        return agents.first { $0.name == nearest }.map { "did you mean '\($0)'?" }
    }
}

extension Site {
    /// The team whose name somebody has misspelt; nil when that is not known, or the name is right.
    func teamCalled(_ name: String, today: CalendarDate) -> String? {
        guard let fleet = try? fleet(at: nil, today: today).fleet,
            let teams = try? fleet.names(in: "teams", files: true), !teams.contains(name)
        else { return nil }
        return Suggestion.nearest(to: name, in: teams)
    }
}

extension Set<AgentID> {
    /// The nearest one, also in another team.
    func hint(for agent: AgentID) -> String? {
        let sorted = self.sorted()
        if let same = sorted.first(where: { $0.name == agent.name }) { return "did you mean '\(same)'?" }
        return Suggestion.hint(for: agent.description, among: sorted.map(\.description), plural: "agents")
    }
}
