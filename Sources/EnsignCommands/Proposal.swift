import EnsignCommandLine
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler

/// A commit that a verb offers for review: what it would change, found before anybody is shown the commit.
struct Proposal {
    let site: Site
    let invocation: Invocation

    /// The plan and the findings, which are printed; no plan when the result would not be valid.
    ///
    /// - Parameter done: What was not done then: `promoted`.
    func plan(_ environment: String, _ commit: ObjectID, _ done: String) throws -> (Plan?, [Finding]) {
        let basis = try PlanBasis(site, environment, version: App.version)
        let desired = try Desired(site, commit, name: "the new branch")
        let outcome = try basis.situation.decide(desired, fallsBack: false)
        let fleet = Fleet(snapshot: try desired.snapshots(), today: invocation.today)
        let text = FindingRenderer(paint: invocation.console.paintNote, source: fleet.source).render(outcome.findings)
        if !text.isEmpty { invocation.console.note(String(text.dropLast())) }
        guard let plan = outcome.shown else {
            invocation.console.note("Nothing was \(done): the result would not be valid.")
            return (nil, outcome.findings)
        }
        var shown = try basis.compare(plan, desired)?.0 ?? plan
        shown.addPower(site, now: invocation.now)
        return (shown, outcome.findings)
    }
}
