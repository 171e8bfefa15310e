import EnsignGit
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// Step 4: what is to be done, if anything.
extension ReconcileSession {
    mutating func converge(to desired: ObjectID, _ drift: [DriftedFile]) throws {
        report.drift = drift
        let isSettled = try isSettled(desired) && reconciler.options.request == nil && !hasRollouts()
        if isSettled, drift.isEmpty { return }
        var plan: Plan?
        var source = desired
        if !isSettled {
            plan = try self.plan(desired)
            if plan == nil, let accepted = lastGood(desired) {
                plan = try self.plan(accepted)
                source = accepted
                if plan != nil { report.result = .converged }
            }
            if plan == nil { return try repairAlone(drift) }
        }
        try apply(plan, drift, source)
        if let tip, source == desired, try isComplete() {
            // A commit that changes nothing here gets no entry: remember that it was looked at.
            try SettledFile(desired: desired, entry: tip.commit, version: reconciler.actor.version)
                .write(site.files.settled(environment))
        }
    }

    /// The commit to go by when an operator asks for something and the desired one cannot be applied: going back does not
    /// wait for a branch that somebody has broken.
    mutating func lastGood(_ desired: ObjectID) -> ObjectID? {
        guard reconciler.options.request != nil, let accepted = tip?.acceptedSource, accepted != desired else {
            return nil
        }
        switch report.result {
        case .invalid, .refused:
            report.notes.append("\(desired.short) cannot be applied; the request was held against \(accepted.short)")
            return accepted
        case .nothingDeclared, .converged, .impossible: return nil
        }
    }

    /// Whether time alone may change something.
    func hasRollouts() throws -> Bool {
        try RecordedTree(repository: site.repository, tip: tip).hasRollouts()
    }

    /// By how many seconds the clock was set since holds were last looked at; nil when it was not.
    func clockStep() throws -> Int64? {
        guard try hasRollouts(), let now = ClockFile.now(reconciler.options.clock) else { return nil }
        return try ClockFile.read(site.files.clock(environment)).flatMap { now.step(since: $0) }
    }

    /// Remembers what the clock said.
    func rememberClock() throws {
        guard let now = ClockFile.now(reconciler.options.clock) else { return }
        let path = site.files.clock(environment)
        guard let earlier = try ClockFile.read(path) else { return try now.write(path) }
        if now.step(since: earlier) != nil {
            // A run that could not plan has told no canary that the clock was set: the next one does.
            guard case .converged = report.result else { return }
        }
        try now.reference(after: earlier).write(path)
    }

    /// Whether the desired commit is known to be live: one look at the tip, whatever the size of the fleet.
    func isSettled(_ desired: ObjectID) throws -> Bool {
        guard let tip, try isComplete(), !isNewVersion else { return false }
        if tip.acceptedSource == desired { return true }
        let known = try SettledFile.read(site.files.settled(environment))
        return known == SettledFile(desired: desired, entry: tip.commit, version: reconciler.actor.version)
    }

    /// Whether everything that the accepted source asked for is live, as far as the ledger knows.
    func isComplete() throws -> Bool {
        guard let tip else { return false }
        let entry = try ledger.converging(tip).entry
        return entry.kind != .genesis && entry.result == .ok
    }

    /// Another version of Ensign may compile to other bytes.
    var isNewVersion: Bool { tip.map { $0.entry.actor.version != reconciler.actor.version } ?? true }

    /// The plan, nil when there is none that may be applied: then the refusal is recorded and reported.
    mutating func plan(_ desired: ObjectID) throws -> Plan? {
        let commit = try site.repository.commit(desired)
        var maker = PlanMaker(site: site, environment: environment, now: now)
        maker.request = reconciler.options.request
        maker.clockStep = try clockStep()
        let evidence = try evidence(commit.tree)
        maker.verdict = { agent, _, _, canary in evidence.verdict(agent, canary) }
        let outcome: PlanMaker.Outcome
        do {
            outcome = try makePlan(maker, desired, commit)
        } catch let refusal as RolloutRefusal {
            report.result = .impossible(refusal)
            return nil
        }
        report.findings = outcome.findings
        guard let plan = outcome.plan else {
            report.result = .invalid
            let errors = outcome.findings.filter { $0.severity == .error }
            let first = errors.first.map { "\($0.path):\($0.position.line):\($0.position.column): \($0.message)" } ?? ""
            try refuse(
                reason: "invalid",
                message: "\(errors.count) error\(errors.count == 1 ? "" : "s"); \(first)",
                source: SourceInspector.inspect(desired, ref: site.settings.desiredRef, repository: site.repository)
            )
            return nil
        }
        report.plan = plan
        // Whatever becomes of the plan: it is about the commit's content alone.
        try outcome.uses?.write(site.files.uses(environment))
        keepFor = outcome.settings?.keepFor
        if let refusal = plan.refusal {
            report.result = .refused(refusal.message)
            try refuse(
                reason: "prune-guard",
                message: refusal.message,
                source: SourceInspector.inspect(desired, ref: site.settings.desiredRef, repository: site.repository)
            )
            return nil
        }
        if tip == nil, plan.isEmpty, outcome.settings == nil {
            report.result = .nothingDeclared
            return nil
        }
        return plan
    }

    mutating func evidence(_ tree: ObjectID) throws -> CanaryEvidence {
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let fleet = Fleet(snapshot: try site.snapshots(of: tree)(), today: now.date)
        var evidence = try CanaryEvidence(recorded, environment, fleet, site)
        if let store = try EvidenceStore(site, environment, telemetry) {
            do { try evidence.take(from: store, answers) } catch {
                // What was counted is used for this run; without the file it is counted again by the next.
                report.warnings.append("what the judge has counted could not be written down: \(error)")
            }
        }
        return evidence
    }

    private func makePlan(_ maker: PlanMaker, _ desired: ObjectID, _ commit: Commit) throws -> PlanMaker.Outcome {
        try maker.plan(
            PlanMaker.Desired(
                source: PlanSource(name: site.settings.branch, commit: desired),
                tree: commit.tree,
                snapshots: site.snapshots(of: commit.tree)
            ),
            tip: tip,
            incremental: try isComplete() && !isNewVersion,
            allowPrune: reconciler.options.allowPrune
        )
    }

    /// Records a refusal, once for each reason and commit. Before genesis there is nothing to record it in.
    mutating func refuse(reason: String, message: String, source: Entry.Source) throws {
        guard let tip else { return }
        var isRecorded = false
        try ledger.walk(from: tip) { entry in
            guard entry.entry.kind == .refused || entry.entry.kind == .drift else { return false }
            isRecorded =
                entry.entry.kind == .refused && entry.entry.reason == reason
                && entry.entry.source?.commit == source.commit
            return !isRecorded
        }
        guard !isRecorded else { return }
        self.tip = try append(
            .refused,
            source: source,
            parent: tip.acceptedSource,
            reason: reason,
            changes: [],
            agents: tip.agents,
            result: .failed,
            error: message
        )
    }
}
