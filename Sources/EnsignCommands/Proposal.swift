import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler

/// A change that a verb offers for review: what it would do is found before anybody is shown its commit.
struct Proposal {
    let site: Site
    let invocation: Invocation
    /// The files that it sets, by path; nil removes one.
    let edits: [String: [UInt8]?]
    /// The commit that it changes.
    let base: ObjectID
    /// The first line of the commit's message.
    let title: String
    /// The rest of it; may be empty.
    let body: String
    /// What was not done where the result would not be valid: `promoted`.
    let done: String

    /// What is known of the result.
    struct Outcome {
        var findings: [Finding]
        var isValid: Bool
        var plan: Plan?
    }

    /// Makes the commit, says what is found in it, and puts it on a branch if it is valid.
    ///
    /// - Parameters:
    ///   - check: Says what the commit would do.
    ///   - put: Gives the branch; nil for none.
    func make(
        check: (ObjectID) throws -> Outcome,
        put: (ObjectID) throws -> ProposalReport.Branch?
    ) throws -> ProposalReport {
        if let behind = try site.behind(site.settings.branch, base) {
            invocation.console.note("warning: \(behind.sentence), and this is made from it: 'git pull' first")
        }
        let message = body.isEmpty ? "\(title)\n" : "\(title)\n\n\(body)\n"
        let commit = try UserCommit(site: site).make(edits, on: base, message: message)
        let outcome = try check(commit)
        let snapshot = GitSnapshot(site.repository, tree: try site.repository.commit(commit).tree)
        let source = Fleet(snapshot: snapshot, today: invocation.today).source
        let text = FindingRenderer(paint: invocation.console.paintNote, source: source).render(outcome.findings)
        if !text.isEmpty { invocation.console.note(String(text.dropLast())) }
        var report = ProposalReport(
            title: title,
            findings: outcome.findings,
            isValid: outcome.isValid,
            plan: outcome.plan
        )
        guard report.isValid else {
            invocation.console.note("Nothing was \(done): the result would not be valid.")
            return report
        }
        report.branch = try put(commit)
        return report
    }

    /// The same for one environment, whose plan says what it would do.
    func make(
        in environment: String,
        put: (ObjectID) throws -> ProposalReport.Branch?
    ) throws -> ProposalReport {
        try make(check: { try plan(environment, $0) }, put: put)
    }

    /// Puts the commit on a new branch: the one of `--branch`, or else this.
    func branch(_ name: String, at commit: ObjectID) throws -> ProposalReport.Branch {
        let name = invocation["branch"] ?? name
        return ProposalReport.Branch(name: name, commit: try UserCommit(site: site).branch(name, at: commit))
    }

    private func plan(_ environment: String, _ commit: ObjectID) throws -> Outcome {
        let basis = try PlanBasis(site, environment, version: App.version)
        let desired = try Desired(site, commit, name: "the new branch")
        let decision = try basis.situation.decide(desired, fallsBack: false)
        guard let plan = decision.shown else { return Outcome(findings: decision.findings, isValid: false) }
        var shown = try basis.compare(plan, desired)?.0 ?? plan
        shown.addEvidence(site, now: invocation.now)
        return Outcome(findings: decision.findings, isValid: true, plan: shown)
    }
}

extension ProposalReport {
    /// Where the commit is; nil without one.
    var sentence: String? {
        branch.map { "Branch \($0.name) has the commit \($0.commit.short): \(title)" }
    }

    /// What is left to do for whoever made it; nil without a branch.
    var next: String? {
        branch.map { "Next: git push origin \($0.name), and open a pull request." }
    }
}
