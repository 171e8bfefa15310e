import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// Step 7: what is to be done, if anything?
extension ReconcileSession {
    /// Leaves a batch where something is to be done, or looked at again.
    mutating func decide() throws {
        let drift = report.drift
        if let desired, try isSettled(desired), reconciler.options.request == nil, try !waitsForTime() {
            if !drift.isEmpty || !unsealed.isEmpty { batch = Batch(plan: nil, drift: drift, commit: desired) }
            return
        }
        let decision: Decision
        do { decision = try self.decision() } catch let refusal as RolloutRefusal {
            report.result = .impossible(refusal)
            repairAlone(drift)
            return
        }
        report.findings = decision.findings
        report.warnings += decision.unreadStops
        try record(decision.obstacle)
        if let error = decision.evidence?.unkept {
            report.warnings.append("what the judge has counted could not be written down: \(error)")
        }
        // Whatever becomes of the plan: it is about the commit's content alone.
        if let uses = decision.uses { try StateFile<SharedUses>(site.files, environment).write(uses) }
        guard let plan = decision.plan, let source = decision.goesBy else {
            repairAlone(drift)
            return
        }
        if tip == nil, plan.isEmpty, decision.settings == nil {
            report.result = .nothingDeclared
            return
        }
        report.plan = plan
        batch = Batch(plan: plan, drift: drift, commit: source, keepFor: decision.settings?.keepFor)
    }

    /// What is live goes on as it is recorded.
    private mutating func repairAlone(_ drift: [DriftedFile]) {
        guard let accepted = tip?.acceptedSource, !drift.isEmpty || !unsealed.isEmpty else { return }
        batch = Batch(plan: nil, drift: drift, commit: accepted)
    }

    private mutating func decision() throws -> Decision {
        var situation = try Situation(
            site,
            environment,
            tip: tip,
            clock: reconciler.options.clock,
            version: reconciler.actor.version,
            store: EvidenceStore(site, environment, telemetry),
            answers: answers
        )
        situation.request = reconciler.options.request
        situation.allowPrune = reconciler.options.allowPrune
        situation.compilesEverything = reconciler.options.ignoresCache
        do {
            return try situation.decide(try desired.map { try Desired(site, $0, name: site.settings.branch) })
        } catch  where desired != nil && Self.isUnreadable(error) {
            // Not even the commit can be read, or what is recorded of an agent that it changes: the others go on.
            report.failure = error
            return try situation.decide(nil)
        }
    }

    private static func isUnreadable(_ error: any Error) -> Bool {
        if case .unreadableState? = error as? LedgerError { return true }
        return error is GitError
    }

    /// Says and records why what is desired cannot be applied.
    private mutating func record(_ obstacle: Decision.Obstacle?) throws {
        switch obstacle {
        case nil: return
        case .invalid:
            report.result = .invalid
            let errors = report.findings.filter { $0.severity == .error }
            let first = errors.first.map { "\($0.path):\($0.position.line):\($0.position.column): \($0.message)" } ?? ""
            try desired.map(source).map {
                try refuse(.invalid, message: "\(counted(errors.count, "error")); \(first)", source: $0)
            }
        case .refused(_, let refusal):
            report.result = .refused(refusal.message)
            try desired.map(source).map { try refuse(.pruneGuard, message: refusal.message, source: $0) }
        case .missing where report.failure == nil:
            guard let accepted = tip?.acceptedSource else { return }
            report.failure = ReconcileError.missingBranch(site.settings.desiredRef)
            let message = "\(site.settings.desiredRef) no longer exists"
            try refuse(.branchMissing, message: message, source: source(accepted))
        case .missing: return
        case .unreadable(let error): report.failure = error
        }
        // An operator's request was met all the same, by what was last accepted.
        guard reconciler.options.request != nil, let accepted = tip?.acceptedSource else { return }
        switch report.result {
        case .invalid, .refused:
            report.desired = report.result
            report.result = .converged
            let what = desired.map(\.short) ?? site.settings.desiredRef
            report.notes.append("\(what) cannot be applied; the request was held against \(accepted.short)")
        case .nothingDeclared, .converged, .impossible: return
        }
    }

    /// Whether the desired commit is known to be live: one look at the tip, whatever the size of the fleet.
    ///
    /// It is not enough that the ledger accepted it last: another commit may have been accepted since without an entry, or
    /// be refused and stop agents all the same.
    private func isSettled(_ desired: ObjectID) throws -> Bool {
        guard !reconciler.options.ignoresCache, let tip, try ledger.isComplete(tip),
            tip.entry.actor.version == reconciler.actor.version
        else {
            return false
        }
        let known = try StateFile<SettledCommit>(site.files, environment).read()
        return known == SettledCommit(desired: desired, entry: tip.commit, version: reconciler.actor.version)
    }

    /// Records a refusal, once for each reason and commit: whatever else is recorded meanwhile, the newest refusal since
    /// another commit was accepted says it still. Before genesis there is no place to record it.
    private mutating func refuse(_ purpose: Entry.Reason.Purpose, message: String, source: Entry.Source) throws {
        guard let tip else { return }
        var isRecorded = false
        try ledger.walk(from: tip) { entry in
            guard entry.acceptedSource == tip.acceptedSource else { return false }
            guard entry.entry.kind == .refused else { return true }
            isRecorded = entry.entry.reason.purpose == purpose && entry.entry.source?.commit == source.commit
            return false
        }
        guard !isRecorded else { return }
        var draft = draft(
            .refused,
            Cause(source: source, parent: tip.acceptedSource),
            reason: Entry.Reason(purpose),
            changes: [],
            agents: tip.agents,
            result: .failed
        )
        draft.error = message
        try append(draft)
    }
}
