import EnsignCrypto
import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// One reconcile under the environment's lock, step by step.
struct ReconcileSession {
    let reconciler: Reconciler
    let site: Site
    let environment: String
    let ledger: Ledger
    let target: any Target
    var tip: RecordedEntry?
    let halts: HaltSwitch
    let gate: HaltGate
    /// Nil when there is none, or another process reads it.
    var telemetry: TelemetryPipeline?
    /// What Prometheus has answered since the last run.
    var answers: [SeriesAnswer] = []
    var report = Reconciler.Report(result: .converged)
    var cachedKey: LedgerKey?
    var cursor: ObservationCursor?
    /// The environment's own, once it is read; until then nothing expires.
    var keepFor: TimeSpan?

    init(_ reconciler: Reconciler) throws {
        self.reconciler = reconciler
        site = reconciler.site
        environment = reconciler.environment
        ledger = site.ledger(environment)
        target = try site.target(environment)
        halts = try HaltSwitch(site, environment)
        gate = HaltGate(halts.file, environment: environment)
        tip = try ledger.tip()
    }

    var now: Timestamp { Timestamp(seconds: reconciler.options.clock.wall()) }

    mutating func run() throws -> Reconciler.Report {
        try checkTip()
        try recover()
        try recordDrifts()
        try recordHalts()
        let desired = desiredCommit()
        if desired == nil, report.failure == nil {
            // A host that was set up anew has the ledger before it has the branch: nobody took that away.
            if let remote = site.settings.remote {
                report.failure = ReconcileError.notFetched(site.settings.desiredRef, remote: remote)
            }
            // Nothing was ever live from here: there is nothing to go on with.
            guard tip?.acceptedSource != nil, try target.read(LivePath.header) != nil else {
                report.result = .nothingDeclared
                return report
            }
        }
        let drift = try observe()
        try converge(to: desired, drift)
        try recordHalts()
        report.hasRollouts = try hasRollouts()
        if report.hasRollouts { try rememberClock() }
        if tip != nil { try TargetOwnership(site, environment).remember() }
        if let cursor, let tip {
            try StateFile<ObservationPlace>(site.files, environment).write(
                ObservationPlace(entry: tip.commit, cursor: cursor)
            )
        }
        report.entry = tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) }
        if let desired { agree(with: desired) }
        return report
    }

    /// Before the first entry: what asks for a notification from here on is found again, whatever dies.
    func prepareNotifications() { Courier.prepare(site, environment, tip) }

    // MARK: 1. Is the ledger what this clone has seen?

    func checkTip() throws {
        try ledger.checkHighWater(tip)
        guard let tip else { return }
        let key = try LedgerKey.load(environment, path: site.settings.signingKey(environment, site.files))
        guard let key else {
            throw ReconcileError.missingKey(
                environment: environment,
                path: site.settings.signingKey(environment, site.files)
            )
        }
        // The newest entry is ours, or hands over to our key. Anybody can write that it does: then the whole chain must
        // bear it out, which it is asked once after a rotation.
        if tip.signer != key.publicKey {
            let handsOver = tip.entry.kind == .key && tip.entry.keys?.contains(key.publicKey.line) == true
            guard handsOver, try Verifier(ledger).run().verdict == .intact else {
                throw LedgerError.broken(
                    environment: environment,
                    sequence: tip.entry.sequence,
                    why:
                        "it is signed by \(tip.signer.fingerprint), and this clone's key is \(key.publicKey.fingerprint)"
                )
            }
        }
        try checkTarget()
    }

    /// The desired commit; nil when there is none, or when the ref cannot be read: that is the report's failure then, and
    /// what is live goes on by the last accepted commit.
    private mutating func desiredCommit() -> ObjectID? {
        do { return try site.desiredCommit() } catch {
            report.failure = error
            return nil
        }
    }

    // MARK: 2. Did a run die between intent and outcome?

    mutating func recover() throws {
        guard let intent = tip, intent.entry.kind.isIntent else { return }
        let changes = try ledger.changes(of: intent)
        guard let effects = AgentEffect.of(changes, environment: environment) else {
            throw LedgerError.broken(
                environment: environment,
                sequence: intent.entry.sequence,
                why: "its changes carry a state that this version of Ensign cannot read"
            )
        }
        let recorded = RecordedTree(repository: site.repository, tip: intent)
        var applied: [Change] = []
        var edits: [String: [UInt8]?] = [:]
        var live = intent.agents
        // Bundles that came before their routes: nobody reads them, and they are ours, not drift.
        var leftovers: [String] = []
        for effect in effects {
            guard let files = try observed(effect) else {
                for digest in effect.digests.sorted() where try !recorded.keeps(digest) {
                    leftovers.append(LivePath.bundle(digest))
                }
                continue
            }
            edits.merge(files) { _, new in new }
            applied += effect.changes
            live += effect.live
        }
        let wanted = changes.count { $0.action != .repair }
        let result: Entry.Result = applied.count == wanted ? .ok : applied.isEmpty ? .failed : .partial
        tip = try append(
            .recovery,
            source: intent.entry.source,
            parent: intent.acceptedSource,
            reason: "interrupted",
            changes: applied,
            agents: live,
            result: result,
            edits: edits
        )
        try target.publish(Publication(removals: leftovers), gate: gate)
        try publishHeader()
        report.recovered = true
    }

    /// What changes of an agent did to the target, as edits of the recorded tree; nil when it is not there.
    private func observed(_ effect: AgentEffect) throws -> [String: [UInt8]?]? {
        let path = LivePath.route(effect.agent)
        guard try target.read(path) == effect.route?.bytes else { return nil }
        var edits: [String: [UInt8]?] = [
            path: effect.route?.bytes, AgentState.path(effect.agent): effect.state?.bytes,
        ]
        for digest in effect.digests {
            let path = LivePath.bundle(digest)
            guard let bundle = try target.read(path), Compiler.digest(of: bundle) == digest else { return nil }
            edits[path] = bundle
        }
        return edits
    }

    // MARK: 3. Is the target what is recorded?

    mutating func observe() throws -> [DriftedFile] {
        guard let tip else { return [] }
        let place = StateFile<ObservationPlace>(site.files, environment)
        let expected = try RecordedFiles.at(tip, ledger)
        let scope: ObservationScope =
            reconciler.options.observeEverything
            ? .everything
            : .slice(
                try ObservationPlace.cursor(in: place, at: tip.commit),
                suspects: reconciler.options.suspectFolders
            )
        let observation = try target.observe(expected, scope, sweeping: true)
        // With drift the next run reads everything again: the repair is its business too.
        cursor = observation.drift.isEmpty ? observation.cursor : nil
        return try withoutHalted(observation.drift).filter { try !isStaleHeader($0, tip) }
    }

    /// A run that died after its outcome and before the header left the header before it: ours, and not drift.
    private func isStaleHeader(_ file: DriftedFile, _ tip: RecordedEntry) throws -> Bool {
        guard file.path == LivePath.header else { return false }
        let newest = try ledger.publishing(tip)
        let isStale: Bool
        if let found = try target.read(LivePath.header) {
            guard let before = newest.entry.previous else { return false }
            isStale = try found == ledger.publishing(ledger.read(before.commit)).header
        } else {
            // Nothing was ever published after genesis.
            isStale = newest.entry.kind == .genesis
        }
        if isStale { try publishHeader() }
        return isStale
    }

    func publishHeader() throws {
        guard let tip else { return }
        try target.publish(Publication(header: try ledger.publishing(tip).header), gate: gate)
    }

    // MARK: 6. Does git agree?

    /// Writes the commits that make git agree with what was rolled back. All that is live is recorded by now: what goes
    /// wrong here is said, and left to the next run.
    private mutating func agree(with desired: ObjectID) {
        guard let tip else { return }
        let branches = RollbackBranches(site: site, environment: environment, today: now.date)
        do {
            report.branches = try branches.settle(tip, desired, key: try key(), now: now)
        } catch {
            report.notes.append("rollback branches were not looked at: \(error)")
        }
    }

    // MARK: Status

    func writeStatus(_ report: Reconciler.Report) throws {
        if let failure = report.failure { return try writeFailure("\(failure)") }
        switch report.result {
        case .nothingDeclared, .converged: try write("ok", telemetry?.unreadSentence ?? "")
        case .invalid:
            let errors = report.findings.count { $0.severity == .error }
            try write("invalid", "\(errors) error\(errors == 1 ? "" : "s") in the manifests")
        case .refused(let why): try write("refused", why)
        case .impossible: break
        }
    }

    func writeFailure(_ message: String) throws { try write("failed", message) }

    private func write(_ result: String, _ message: String) throws {
        let file = StateFile<Status>(site.files, environment)
        let before = try file.read()
        let status = Status(
            environment: environment,
            time: now,
            result: result,
            message: message,
            source: tip?.acceptedSource?.description,
            mode: reconciler.actor.mode,
            lastSuccess: result == "ok" ? now : before?.lastSuccess,
            visits: (before?.visits ?? Visits()).adding(reconciler.options.visitor, at: now)
        )
        try file.write(status)
    }
}
