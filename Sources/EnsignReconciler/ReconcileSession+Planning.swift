import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// Step 4: what is to be done, if anything.
extension ReconcileSession {
    /// - Parameter desired: Nil when the branch is gone or cannot be read: then the last accepted commit is gone by.
    mutating func converge(to desired: ObjectID?, _ drift: [DriftedFile]) throws {
        report.drift = drift
        if let desired, try isSettled(desired), reconciler.options.request == nil, try !hasRollouts() {
            if !drift.isEmpty { try apply(nil, drift, desired) }
            return
        }
        let decision: Decision
        do { decision = try decide(desired) } catch let refusal as RolloutRefusal {
            report.result = .impossible(refusal)
            return try repairAlone(drift)
        }
        report.findings = decision.findings
        try record(decision.obstacle, desired)
        if let error = decision.evidence?.unkept {
            report.warnings.append("what the judge has counted could not be written down: \(error)")
        }
        // Whatever becomes of the plan: it is about the commit's content alone.
        if let uses = decision.uses { try StateFile<SharedUses>(site.files, environment).write(uses) }
        keepFor = decision.settings?.keepFor
        guard let plan = decision.plan, let source = decision.goesBy else { return try repairAlone(drift) }
        if tip == nil, plan.isEmpty, decision.settings == nil {
            report.result = .nothingDeclared
            return
        }
        report.plan = plan
        try apply(plan, drift, source)
        guard let tip, source == desired else { return }
        try site.accept(source, environment, tip: tip)
        if try ledger.isComplete(tip) {
            // A commit that changes nothing here gets no entry: remember that it was looked at.
            try StateFile<SettledCommit>(site.files, environment).write(
                SettledCommit(desired: source, entry: tip.commit, version: reconciler.actor.version)
            )
        }
    }

    private mutating func decide(_ desired: ObjectID?) throws -> Decision {
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
        do {
            return try situation.decide(try desired.map { try Desired(site, $0, name: site.settings.branch) })
        } catch let error as GitError where desired != nil {
            // Not even the commit can be read.
            report.failure = error
            return try situation.decide(nil)
        }
    }

    /// Says and records why what is desired cannot be applied.
    private mutating func record(_ obstacle: Decision.Obstacle?, _ desired: ObjectID?) throws {
        func source(_ commit: ObjectID) throws -> Entry.Source {
            try SourceInspector.inspect(commit, ref: site.settings.desiredRef, repository: site.repository)
        }
        switch obstacle {
        case nil: return
        case .invalid:
            report.result = .invalid
            let errors = report.findings.filter { $0.severity == .error }
            let first = errors.first.map { "\($0.path):\($0.position.line):\($0.position.column): \($0.message)" } ?? ""
            try desired.map(source).map {
                let count = "\(errors.count) error\(errors.count == 1 ? "" : "s")"
                try refuse(reason: "invalid", message: "\(count); \(first)", source: $0)
            }
        case .refused(_, let refusal):
            report.result = .refused(refusal.message)
            try desired.map(source).map { try refuse(reason: "prune-guard", message: refusal.message, source: $0) }
        case .missing where report.failure == nil:
            guard let accepted = tip?.acceptedSource else { return }
            report.failure = ReconcileError.missingBranch(site.settings.desiredRef)
            let message = "\(site.settings.desiredRef) does not exist any more"
            try refuse(reason: "branch-missing", message: message, source: source(accepted))
        case .missing: return
        case .unreadable(let error): report.failure = error
        }
        // An operator's request was met all the same, by what was last accepted.
        guard reconciler.options.request != nil, let accepted = tip?.acceptedSource else { return }
        switch report.result {
        case .invalid, .refused:
            report.result = .converged
            let what = desired.map(\.short) ?? site.settings.desiredRef
            report.notes.append("\(what) cannot be applied; the request was held against \(accepted.short)")
        case .nothingDeclared, .converged, .impossible: return
        }
    }

    /// Whether time alone may change something.
    func hasRollouts() throws -> Bool {
        try RecordedTree(repository: site.repository, tip: tip).hasRollouts()
    }

    /// Remembers what the clock said.
    func rememberClock() throws {
        guard let now = ClockReading.now(reconciler.options.clock) else { return }
        let file = StateFile<ClockReading>(site.files, environment)
        guard let earlier = try file.read() else { return try file.write(now) }
        if now.step(since: earlier) != nil {
            // A run that could not plan has told no canary that the clock was set: the next one does.
            guard report.plan != nil else { return }
        }
        try file.write(now.reference(after: earlier))
    }

    /// Whether the desired commit is known to be live: one look at the tip, whatever the size of the fleet.
    func isSettled(_ desired: ObjectID) throws -> Bool {
        guard let tip, try ledger.isComplete(tip), tip.entry.actor.version == reconciler.actor.version else {
            return false
        }
        if tip.acceptedSource == desired { return true }
        let known = try StateFile<SettledCommit>(site.files, environment).read()
        return known == SettledCommit(desired: desired, entry: tip.commit, version: reconciler.actor.version)
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
