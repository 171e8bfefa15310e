import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner

extension PlanMaker {
    /// The change of `policy.json` against what is recorded; nil when it stays as it is.
    ///
    /// Cost follows change: where nothing that it is made from differs from what is live, nothing is read.
    func policy(_ resolved: Resolved) throws -> PolicyChange? {
        guard try mayDiffer(resolved.desired) else { return nil }
        let before = try recorded.policy()
        // Reports no findings: what is wrong elsewhere does not stop an environment.
        let fleet = Fleet(snapshot: resolved.fleet.snapshot, today: today)
        var after = resolved.settings == nil ? nil : try fleet.policy(of: environment, besides: before)
        // Where there was one, an empty one says that nothing is left: a file that is missing says nothing.
        if after == nil, before != nil, resolved.settings != nil { after = GatewayPolicy(environment: environment) }
        return PolicyChange(from: before, to: after, digest: after.map { Compiler.digest(of: $0.bytes) })
    }

    private func mayDiffer(_ desired: Desired) throws -> Bool {
        guard let tree = desired.tree, let tip = situation.tip, let accepted = tip.acceptedSource,
            // Another version of Ensign may have made none.
            tip.entry.format == .v2, try situation.isIncremental(), site.repository.contains(accepted)
        else { return true }
        let before = try site.repository.commit(accepted).tree
        guard before != tree else { return false }
        return try [
            RepositoryPath.allowedSigners, RepositoryPath.teams, RepositoryPath.tools, RepositoryPath.prices,
            RepositoryPath.environment(environment),
        ].contains { path in
            try site.repository.entry(at: path, in: before) != site.repository.entry(at: path, in: tree)
        }
    }
}
