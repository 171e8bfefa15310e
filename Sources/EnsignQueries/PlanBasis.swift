package import EnsignHost
package import EnsignLedger
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
    package func compare(_ plan: Plan, _ desired: Desired) throws -> (Plan, String)? {
        // Where a ledger is about to begin, nothing is live yet: the plan is the first reconcile's.
        guard tip == nil, !site.isInitialised || site.settings.isClient else { return nil }
        guard let commit = try site.desiredCommit() else { return nil }
        let nothing = try Situation.nothing(site, plan.environment, now: situation.now)
        let tipOfBranch = try Desired(site, commit, name: site.settings.branch)
        let base = try nothing.decide(tipOfBranch)
        guard let base = base.plan else { return nil }
        var compared = try plan.compared(with: base)
        compared.guards = try nothing.guards(desired, since: tipOfBranch)
        compared.basis = "\(site.settings.branch)@sha1:\(commit.short)"
        return (
            compared,
            "There is no ledger of '\(plan.environment)' here: compared with \(site.settings.branch)@sha1:\(commit.short) instead."
        )
    }
}
