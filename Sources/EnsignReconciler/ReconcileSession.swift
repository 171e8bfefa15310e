import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignModel
import EnsignSystem
import EnsignTargets

/// One reconcile under the environment's lock: what its ``steps`` look at and hand on.
struct ReconcileSession {
    let reconciler: Reconciler
    let site: Site
    let environment: String
    let ledger: Ledger
    let target: any Target
    var tip: RecordedEntry?
    /// The number of the newest entry when the run began; -1 when there was none.
    let begun: Int64
    let halts: HaltSwitch
    let gate: HaltGate
    /// Nil when there is none, or another process reads it.
    var telemetry: TelemetryPipeline?
    /// What Prometheus has answered since the last run.
    var answers: [SeriesAnswer] = []
    var report = Reconciler.Report(result: .converged)
    var cachedKey: LedgerKey?
    /// Where the next run goes on looking at the target; nil to begin anew.
    var cursor: ObservationCursor?
    /// Nil when the branch is gone or cannot be read: then the last accepted commit decides.
    var desired: ObjectID?
    /// Whether nothing more can be done: the steps that are left are passed over.
    var isOver = false
    /// What this run does; nil when it does nothing.
    var batch: Batch?
    /// What is recorded without a proof of the key that signs now.
    var unsealed = Unsealed()

    init(_ reconciler: Reconciler) throws {
        self.reconciler = reconciler
        site = reconciler.site
        environment = reconciler.environment
        ledger = site.ledger(environment)
        target = try site.target(environment)
        halts = try HaltSwitch(site, environment)
        gate = HaltGate(halts.file)
        tip = try ledger.tip()
        begun = tip?.entry.sequence ?? -1
    }

    var now: Timestamp { Timestamp(seconds: reconciler.options.clock.wall()) }

    /// Before the first entry: what asks for a notification from here on is found again, whatever dies.
    func prepareNotifications() { Courier.prepare(site, environment, tip) }

    /// Writes `fleet.json`, with the time and its proof.
    mutating func publishHeader() throws {
        guard let tip else { return }
        var header = try ledger.publishing(tip).header
        header.heard = now
        let seal = LiveSeal(key: try key(), entry: header.sequence)
        let bytes = seal.file(header.members)
        try target.publish(Publication(header: bytes), gate: gate)
        report.header = bytes
    }

    /// What goes live by the next entry is signed with its number.
    mutating func nextSeal() throws -> LiveSeal {
        LiveSeal(key: try key(), entry: tip.map { $0.entry.sequence + 1 } ?? 0)
    }
}

// MARK: - Entries

extension ReconcileSession {
    /// The reason for an entry.
    struct Cause {
        var source: Entry.Source?
        /// The newest accepted source commit.
        var parent: ObjectID?
    }

    /// The source commit of what is live.
    func cause(_ tip: RecordedEntry) throws -> Cause {
        Cause(source: try tip.acceptedSource.map(source), parent: tip.acceptedSource)
    }

    func source(_ commit: ObjectID) throws -> Entry.Source {
        try SourceInspector.inspect(commit, in: site)
    }

    func draft(
        _ kind: Entry.Kind,
        _ cause: Cause,
        reason: Entry.Reason,
        changes: [Change],
        agents: Int64,
        result: Entry.Result
    ) -> EntryDraft {
        EntryDraft(
            kind: kind,
            source: cause.source,
            parent: cause.parent,
            actor: reconciler.actor,
            time: now,
            reason: reason,
            changes: changes,
            agents: agents,
            result: result
        )
    }

    /// Writes an entry, which is the newest one then.
    @discardableResult
    mutating func append(_ draft: EntryDraft) throws -> RecordedEntry { try append(draft, edits: []) }

    /// Writes an entry with files of the recorded tree, by path; nil removes one.
    @discardableResult
    mutating func append(_ draft: EntryDraft, edits: consuming some Collection<(key: String, value: FileContent?)>)
        throws
        -> RecordedEntry
    {
        let entry = try ledger.append(draft, after: tip, edits: edits, key: key())
        tip = entry
        return entry
    }

    mutating func key() throws -> LedgerKey {
        if let cachedKey { return cachedKey }
        let path = site.settings.signingKey(environment, site.files)
        guard let key = try LedgerKey.load(environment, path: path) else {
            throw ReconcileError.missingKey(environment: environment, path: path)
        }
        cachedKey = key
        return key
    }
}

// MARK: - Status

extension ReconcileSession {
    func writeStatus(_ report: Reconciler.Report) throws {
        if let failure = report.failure { return try writeFailure("\(failure)") }
        if report.leavesStatus { return }
        switch report.desired ?? report.result {
        case .nothingDeclared, .converged: try write("ok", telemetry?.unreadSentence ?? "")
        case .invalid:
            let errors = report.findings.count { $0.severity == .error }
            try write("invalid", "\(counted(errors, "error")) in the manifests")
        case .refused(let why): try write("refused", why)
        case .impossible: break
        }
    }

    func writeFailure(_ message: String) throws {
        // What waits for its record is said until it has one.
        if !report.leavesStatus { try write("failed", message) }
    }

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
        do throws(SystemError) { try file.write(status) } catch {
            guard error.isWithoutRoom else { throw error }
            // Nobody must read that the run before this one was the last.
            try file.overwrite(status)
        }
    }
}
