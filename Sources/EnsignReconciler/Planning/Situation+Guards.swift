import EnsignGit
import EnsignHost
import EnsignLedger
package import EnsignModel
package import EnsignPlanner

extension Situation {
    /// What a desired state changes of what guards agents, against the commit whose rules are in force; nothing where there
    /// is none yet.
    ///
    /// - Parameter renamed: Agents that go on under another name: the new one by the former.
    func guards(_ desired: Desired, renamed: [AgentID: AgentID]) throws -> [GuardChange] {
        guard let accepted = try inForce(), accepted != desired.source.commit else {
            return []
        }
        return try guards(desired, since: Desired(site, accepted, name: site.settings.branch), renamed: renamed)
    }

    /// The commit whose rules are in force. Elsewhere than on the host the ledger names the newest one that changed something
    /// live; what the branch's upstream has since, the host has accepted since.
    private func inForce() throws -> ObjectID? {
        guard let accepted = try accepted() else { return nil }
        guard !site.reconciles, let upstream = try site.upstream(of: site.settings.branch),
            (try? site.repository.isAncestor(accepted, of: upstream.commit)) == true
        else { return accepted }
        return upstream.commit
    }

    /// What a desired state changes of what guards agents, against another one.
    ///
    /// - Parameters:
    ///   - environment: The other one's; nil for the same.
    ///   - renamed: Agents that go on under another name: the new one by the former.
    package func guards(
        _ desired: Desired,
        since base: Desired,
        of environment: String? = nil,
        renamed: [AgentID: AgentID] = [:]
    ) throws -> [GuardChange] {
        try GuardLoader(repository: site.repository, today: today).changes(
            from: GuardLoader.Side(
                environment: environment ?? self.environment,
                tree: base.tree,
                snapshots: base.snapshots
            ),
            to: GuardLoader.Side(environment: self.environment, tree: desired.tree, snapshots: desired.snapshots),
            renamed: renamed
        )
    }
}
