import EnsignGit
package import EnsignHost
package import EnsignLedger
import EnsignManifest
import EnsignModel
package import EnsignPlanner
package import EnsignReconciler

/// The basis of a plan: the ledger, or without one the branch's tip.
package struct PlanBasis {
    package let situation: Situation
    private let site: Site

    /// - Parameter version: This Ensign's own.
    package init(_ site: Site, _ environment: String, version: String, asksPrometheus: Bool = false) throws {
        self.site = site
        situation = try Situation.look(
            site,
            environment,
            version: version,
            asksPrometheus: asksPrometheus
        )
    }

    package var tip: RecordedEntry? { situation.tip }

    /// The plan as a difference from the branch's tip, with what to tell the user; nil when there is a ledger.
    ///
    /// - Parameter allowPrune: Whether it may remove more than its environment allows at once.
    package func compare(_ plan: Plan, _ desired: Desired, allowPrune: Bool = false) throws -> (Plan, String)? {
        // Where a ledger is about to begin, nothing is live yet: the plan is the first reconcile's.
        guard tip == nil, !site.isInitialised || site.settings.isClient else { return nil }
        guard let (name, commit) = try base(of: desired) else { return nil }
        let nothing = try Situation.nothing(site, plan.environment, now: situation.now)
        let tipOfBranch = try Desired(site, commit, name: name)
        let base = try nothing.decide(tipOfBranch)
        guard let base = base.plan else { return nil }
        let fleet = Fleet(snapshot: try desired.snapshots(), today: situation.today)
        var rules = try rules(fleet, tipOfBranch, plan.environment)
        rules.allowPrune = allowPrune
        let compiler = EnvironmentCompiler(fleet: fleet, environment: plan.environment)
        var compared = try plan.compared(with: base, rules: rules) {
            try compiler.compile($0, as: $1) { _ in false }
        }
        compared.guards = try nothing.guards(desired, since: tipOfBranch, renamed: compared.renamed)
        let basis = "\(name)@sha1:\(commit.short)"
        compared.basis = basis
        return (compared, "There is no ledger of '\(plan.environment)' here: compared with \(basis) instead.")
    }

    /// What a commit may remove at once: it cannot raise its share for itself.
    private func rules(_ fleet: Fleet, _ base: Desired, _ environment: String) throws -> PlanRules {
        let now = try fleet.environment(environment)?.value
        let was = try Fleet(snapshot: try base.snapshots(), today: situation.today).environment(environment)?.value
        let share = now?.maxPruneShare ?? 0.3
        return PlanRules(
            prune: now?.prune ?? true,
            maxPruneShare: min(share, was?.maxPruneShare ?? share),
            allowPrune: false
        )
    }

    /// The branch's tip; for what is that itself, what was pushed of it. Nil where nothing was: then nothing is live yet.
    private func base(of desired: Desired) throws -> (name: String, commit: ObjectID)? {
        let branch = site.settings.branch
        guard let tip = try site.desiredCommit() else { return nil }
        guard tip == desired.source.commit, site.settings.remote == nil else { return (branch, tip) }
        let remote = site.configuration.values["branch.\(branch).remote"] ?? "origin"
        guard let pushed = try site.repository.reference("refs/remotes/\(remote)/\(branch)") else { return nil }
        return ("\(remote)/\(branch)", pushed)
    }
}
