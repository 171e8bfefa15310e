import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignSystem
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
    private var cachedKey: LedgerKey?
    private var cursor: ObservationCursor?
    /// The environment's own, once it is read; until then nothing expires.
    private var keepFor: TimeSpan?

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
        guard let desired = try site.desiredCommit() else { return try withoutBranch() }
        let drift = try observe()
        try converge(to: desired, drift)
        try recordHalts()
        report.hasRollouts = try hasRollouts()
        if report.hasRollouts { try ClockFile.now(reconciler.options.clock)?.write(site.files.clock(environment)) }
        if tip != nil { try TargetOwnership(site, environment).remember() }
        if let cursor, let tip {
            try ObservationFile.write(cursor, at: tip.commit, site.files.observation(environment))
        }
        report.entry = tip.map { PlanEntry(sequence: $0.entry.sequence, commit: $0.commit) }
        agree(with: desired)
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

    private mutating func withoutBranch() throws -> Reconciler.Report {
        // A host that was set up anew has the ledger before it has the branch: nobody took that away.
        if let remote = site.settings.remote {
            throw ReconcileError.notFetched(site.settings.desiredRef, remote: remote)
        }
        guard let accepted = tip?.acceptedSource else {
            report.result = .nothingDeclared
            return report
        }
        try refuse(
            reason: "branch-missing",
            message: "\(site.settings.desiredRef) does not exist any more",
            source: SourceInspector.inspect(accepted, ref: site.settings.desiredRef, repository: site.repository)
        )
        throw ReconcileError.missingBranch(site.settings.desiredRef)
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

    private mutating func observe() throws -> [DriftedFile] {
        guard let tip else { return [] }
        let cursorPath = site.files.observation(environment)
        let expected = try RecordedFiles.at(tip, ledger)
        let scope: ObservationScope =
            reconciler.options.observeEverything
            ? .everything
            : .slice(try ObservationFile.read(cursorPath, at: tip.commit), suspects: reconciler.options.suspectFolders)
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

    // MARK: 4. Plan

    private mutating func converge(to desired: ObjectID, _ drift: [DriftedFile]) throws {
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
    private mutating func lastGood(_ desired: ObjectID) -> ObjectID? {
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
    private func hasRollouts() throws -> Bool {
        try RecordedTree(repository: site.repository, tip: tip).hasRollouts()
    }

    /// Whether the clock was set since holds were last looked at.
    private func clockStepped() throws -> Bool {
        guard try hasRollouts(), let now = ClockFile.now(reconciler.options.clock) else { return false }
        return try ClockFile.read(site.files.clock(environment)).map { now.stepped(since: $0) } ?? false
    }

    /// Whether the desired commit is known to be live: one look at the tip, whatever the size of the fleet.
    private func isSettled(_ desired: ObjectID) throws -> Bool {
        guard let tip, try isComplete(), !isNewVersion else { return false }
        if tip.acceptedSource == desired { return true }
        let known = try SettledFile.read(site.files.settled(environment))
        return known == SettledFile(desired: desired, entry: tip.commit, version: reconciler.actor.version)
    }

    /// Whether everything that the accepted source asked for is live, as far as the ledger knows.
    private func isComplete() throws -> Bool {
        guard let tip else { return false }
        let entry = try ledger.converging(tip).entry
        return entry.kind != .genesis && entry.result == .ok
    }

    /// Another version of Ensign may compile to other bytes.
    private var isNewVersion: Bool { tip.map { $0.entry.actor.version != reconciler.actor.version } ?? true }

    /// The plan, nil when there is none that may be applied: then the refusal is recorded and reported.
    private mutating func plan(_ desired: ObjectID) throws -> Plan? {
        let commit = try site.repository.commit(desired)
        var maker = PlanMaker(site: site, environment: environment, now: now)
        maker.request = reconciler.options.request
        maker.clockStepped = try clockStepped()
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

    private mutating func evidence(_ tree: ObjectID) throws -> CanaryEvidence {
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
    private mutating func refuse(reason: String, message: String, source: Entry.Source) throws {
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

    // MARK: 5. Intent, publish, outcome

    private mutating func repairAlone(_ drift: [DriftedFile]) throws {
        guard let accepted = tip?.acceptedSource, !drift.isEmpty else { return }
        let result = report.result
        try apply(nil, drift, accepted)
        report.result = result
    }

    private mutating func apply(_ plan: Plan?, _ drift: [DriftedFile], _ source: ObjectID) throws {
        if tip == nil { try begin() }
        guard let before = tip else { return }
        let origin = try SourceInspector.inspect(source, ref: site.settings.desiredRef, repository: site.repository)
        let recorded = RecordedTree(repository: site.repository, tip: before)
        var changes = try plan.map { try self.changes(of: $0, source) } ?? []
        let repairs = try self.repairs(drift, recorded)
        if !drift.isEmpty {
            let accepted = try acceptedSource(before)
            tip = try append(
                .drift,
                source: accepted,
                parent: before.acceptedSource,
                reason: "drift",
                changes: repairs,
                agents: before.agents,
                result: .pending
            )
            changes += repairs
        }
        let reason = plan == nil || changes.count == repairs.count && !repairs.isEmpty ? "drift" : "sync"
        if changes.isEmpty {
            // A new commit that changes nothing here: no entry, unless it is the first.
            guard before.entry.kind == .genesis else { return }
        }
        let agents = plan?.liveAfter ?? before.agents
        let (retired, expired) = try self.expired(before, recorded, plan)
        let removed = expired.isEmpty ? [:] : ["expired": Int64(expired.count)]
        tip = try append(
            reconciler.options.request?.operation == .unhalt ? .resume : .intent,
            source: origin,
            parent: source,
            reason: reason,
            changes: changes,
            agents: before.agents,
            result: .pending,
            more: removed
        )
        // If this throws, what reached the target is found by observing: the next run records a recovery.
        let held = try publish(try publication(plan, drift, recorded, expired), plan, recorded)
        report.plan?.changes.removeAll { held.contains($0.agent) }
        var edits: [String: [UInt8]?] = [:]
        for change in plan?.changes ?? [] where !held.contains(change.agent) {
            edits[LivePath.route(change.agent)] = .some(change.route?.bytes)
            edits[AgentState.path(change.agent)] = .some(change.state?.bytes)
            for bundle in change.bundles { edits[LivePath.bundle(bundle.digest)] = bundle.bytes }
        }
        for digest in expired { edits[LivePath.bundle(digest)] = .some(nil) }
        tip = try append(
            .outcome,
            source: origin,
            parent: source,
            reason: reason,
            changes: changes.filter { $0.agent.map { !held.contains($0) } ?? true },
            agents: held.isEmpty ? agents : before.agents + (plan?.live(without: held) ?? 0),
            result: held.isEmpty ? .ok : .partial,
            edits: edits,
            more: removed
        )
        try publishHeader()
        if var retired {
            retired.remove(Set(expired))
            try retired.write(site.files.retired(environment))
        }
        pack()
    }

    private func checkTarget() throws {
        if let obstacle = try target.obstacle() { throw ReconcileError.target(obstacle) }
        try TargetOwnership(site, environment).check()
    }

    private mutating func begin() throws {
        try checkTarget()
        let path = site.settings.signingKey(environment, site.files)
        let key = try LedgerKey.load(environment, path: path) ?? LedgerKey.create(environment, path: path)
        cachedKey = key
        tip = try append(
            .genesis,
            source: nil,
            parent: nil,
            reason: "genesis",
            changes: [],
            agents: 0,
            result: .ok,
            keys: [key.publicKey.line]
        )
    }

    func acceptedSource(_ tip: RecordedEntry) throws -> Entry.Source? {
        try tip.acceptedSource.map {
            try SourceInspector.inspect($0, ref: site.settings.desiredRef, repository: site.repository)
        }
    }

    /// The plan's changes, with the commits that a revert names as evidence.
    private func changes(of plan: Plan, _ source: ObjectID) throws -> [Change] {
        var changes = plan.changes.flatMap(\.all)
        guard changes.contains(where: { $0.action == .rollback }) else { return changes }
        let reverted = try SourceInspector.reverted(
            from: source,
            since: tip?.acceptedSource,
            repository: site.repository
        )
        guard !reverted.isEmpty else { return changes }
        for index in changes.indices where changes[index].action == .rollback {
            changes[index].add("reverts", .array(reverted.prefix(10).map { .string($0.description) }))
        }
        return changes
    }

    private func repairs(_ drift: [DriftedFile], _ recorded: RecordedTree) throws -> [Change] {
        try drift.map { file in
            var agent = LivePath.agent(atRoute: file.path)
            if let digest = LivePath.digest(atBundle: file.path) { agent = try recorded.bundle(digest)?.agent }
            let side = try agent.flatMap { try recorded.agent($0)?.stable }
            return Change(
                agent: agent,
                action: .repair,
                from: side,
                to: side,
                kind: .none,
                evidence: [
                    "path": .string(String(file.path.escapedForDisplay.prefix(500))),
                    "found": .string(file.found.rawValue), "size": file.size.map { .integer($0) } ?? .null,
                ]
            )
        }
    }

    private func publication(
        _ plan: Plan?,
        _ drift: [DriftedFile],
        _ recorded: RecordedTree,
        _ retired: [Digest]
    ) throws -> Publication {
        var publication = Publication()
        // Repairs first in the list, so that a planned change of the same file wins.
        var bundles: [String: [UInt8]] = [:]
        var routes: [String: [UInt8]] = [:]
        for file in drift where file.path != LivePath.header {
            guard let node = try recorded.node(file.path) else {
                publication.clearings.append(file.path)
                continue
            }
            guard node.mode != .directory else {
                // Something stands where a folder belongs; its files are listed as missing themselves.
                publication.clearings.append(file.path)
                continue
            }
            let bytes = try recorded.bytes(node)
            if file.path.hasPrefix(LivePath.bundles) { bundles[file.path] = bytes } else { routes[file.path] = bytes }
        }
        for change in plan?.changes ?? [] {
            let path = LivePath.route(change.agent)
            for bundle in change.bundles { bundles[LivePath.bundle(bundle.digest)] = bundle.bytes }
            routes[path] = change.route?.bytes
            if change.route == nil, try recorded.node(path) != nil { publication.removals.append(path) }
        }
        for digest in retired { publication.removals.append(LivePath.bundle(digest)) }
        publication.bundles = bundles.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        publication.routes = routes.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        return publication
    }

    /// Bundles whose last route is longer ago than `keepFor`. They go with the next change, not by themselves: an idle
    /// fleet writes no entries.
    private func expired(
        _ tip: RecordedEntry,
        _ recorded: RecordedTree,
        _ plan: Plan?
    ) throws -> (RetiredBundles?, [Digest]) {
        guard let plan, let keepFor else { return (nil, []) }
        let retired = try RetiredBundles.load(site.files.retired(environment), tip: tip, ledger: ledger)
        let wanted = Set(plan.changes.flatMap { $0.all.compactMap(\.to?.digest) + $0.bundles.map(\.digest) })
        let horizon = now.seconds - keepFor.seconds
        let expired = try retired.retired(before: horizon).filter { bundle in
            guard !wanted.contains(bundle.digest), try recorded.keeps(bundle.digest) else { return false }
            guard let agent = try recorded.agent(bundle.agent) else { return true }
            return agent.stable?.digest != bundle.digest
                && agent.state.rollout?.candidate.side.digest != bundle.digest
                && agent.route?.targets.contains { $0.digest == bundle.digest } != true
        }
        return (retired, expired.map(\.digest))
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

    /// Lets git pack what has piled up, now and then: loose objects make verification slow.
    private func pack() {
        guard let tip, tip.entry.sequence % 64 < 2 else { return }
        // So that a question never has to read much of the ledger.
        _ = try? BehaviourRecord.load(site, environment, tip: tip)
        // What git says about it does not matter to this reconcile.
        _ = try? Git.run(["maintenance", "run", "--auto", "--quiet"], in: site)
    }

    mutating func append(
        _ kind: Entry.Kind,
        source: Entry.Source?,
        parent: ObjectID?,
        reason: String,
        changes: [Change],
        agents: Int64,
        result: Entry.Result,
        error: String? = nil,
        keys: [String]? = nil,
        edits: [String: [UInt8]?] = [:],
        more counts: [String: Int64] = [:]
    ) throws -> RecordedEntry {
        var draft = EntryDraft(
            kind: kind,
            source: source,
            parent: parent,
            actor: reconciler.actor,
            time: now,
            reason: reason,
            changes: changes,
            agents: agents,
            result: result,
            error: error,
            keys: keys
        )
        draft.counts = counts
        return try ledger.append(draft, after: tip, edits: edits, key: key())
    }

    private mutating func key() throws -> LedgerKey {
        if let cachedKey { return cachedKey }
        let path = site.settings.signingKey(environment, site.files)
        guard let key = try LedgerKey.load(environment, path: path) else {
            throw ReconcileError.missingKey(environment: environment, path: path)
        }
        cachedKey = key
        return key
    }

    // MARK: Status

    func writeStatus(_ report: Reconciler.Report) throws {
        switch report.result {
        case .nothingDeclared, .converged: try write("ok", "")
        case .invalid:
            let errors = report.findings.count { $0.severity == .error }
            try write("invalid", "\(errors) error\(errors == 1 ? "" : "s") in the manifests")
        case .refused(let why): try write("refused", why)
        case .impossible: break
        }
    }

    func writeFailure(_ message: String) throws { try write("failed", message) }

    private func write(_ result: String, _ message: String) throws {
        let path = site.files.status(environment)
        let before = try Status.read(path)
        try Status(
            environment: environment,
            time: now,
            result: result,
            message: message,
            source: tip?.acceptedSource?.description,
            mode: reconciler.actor.mode,
            lastSuccess: result == "ok" ? now : before?.lastSuccess,
            visits: (before?.visits ?? Visits()).adding(reconciler.options.visitor, at: now)
        ).write(path)
    }
}
