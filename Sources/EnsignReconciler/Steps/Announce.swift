import EnsignCrypto
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignSystem
import EnsignTargets

/// Step 8: what is about to happen is on record before it does.
extension ReconcileSession {
    /// Writes the first entry of a new environment, what was found in the target, then the intent.
    mutating func announce() throws {
        guard let batch else { return }
        if tip == nil { try begin() }
        guard let before = tip else { return }
        let recorded = RecordedTree(repository: site.repository, tip: before)
        var announces = try batch.plan.map { try changes(of: $0, batch.commit) } ?? []
        let repairs = try repairs(batch.drift, recorded)
        if !repairs.isEmpty {
            try append(
                draft(
                    .drift,
                    cause(before),
                    reason: Entry.Reason(.drift),
                    changes: repairs,
                    agents: before.agents,
                    result: .pending
                )
            )
        }
        let sealing = try sealing(besides: announces, recorded)
        let seal = try nextSeal()
        let policy = try policy(batch.plan, recorded, seal)
        policy?.complete(&announces)
        announces += sealing.map(\.change)
        let onlyRepairs = announces.isEmpty && !repairs.isEmpty
        announces += repairs
        // A new commit that changes nothing here: no entry, unless it is the first.
        guard !announces.isEmpty || before.entry.kind == .genesis else { return }
        let (retired, expired) = try expired(before, recorded, batch)
        let shelf = DiskShelf(site)
        let announced = Batch.Announced(
            before: before,
            recorded: recorded,
            cause: Cause(source: try source(batch.commit), parent: batch.commit),
            reason: reason(batch, onlyRepairs: onlyRepairs),
            changes: announces,
            files: try Parallel.map(batch.plan?.changes ?? []) { $0.files(seal, shelf) }
                + sealing.map { $0.files(seal) },
            policy: policy,
            expired: expired,
            retired: retired
        )
        var intent = draft(
            reconciler.options.request?.operation == .unhalt ? .resume : .intent,
            announced.cause,
            reason: announced.reason,
            changes: announced.changes,
            agents: before.agents,
            result: .pending
        )
        intent.counts = announced.counts
        try append(intent)
        self.batch?.announced = announced
        report.sealed = sealing.map(\.agent)
    }

    private func reason(_ batch: Batch, onlyRepairs: Bool) -> Entry.Reason {
        Entry.Reason(onlyRepairs ? .drift : .sync, override: batch.plan == nil ? nil : reconciler.options.override)
    }

    private mutating func begin() throws {
        try checkTarget()
        let path = site.settings.signingKey(environment, site.files)
        let key = try LedgerKey.create(environment, path: path)
        cachedKey = key
        var draft = draft(.genesis, Cause(), reason: Entry.Reason(.genesis), changes: [], agents: 0, result: .ok)
        draft.keys = [key.publicKey.line]
        try append(draft)
    }

    /// The plan's changes, with the commits that a revert names as evidence.
    private func changes(of plan: Plan, _ source: ObjectID) throws -> [Change] {
        var changes = plan.common + plan.changes.flatMap(\.all)
        guard changes.contains(where: { $0.action == .rollback }) else { return changes }
        let reverted = try SourceInspector.reverted(
            from: source,
            since: tip?.acceptedSource,
            repository: site.repository
        )
        guard !reverted.isEmpty else { return changes }
        for index in changes.indices where changes[index].action == .rollback {
            changes[index].explain { $0.reverts = Array(reverted.prefix(10)) }
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
                evidence: Evidence(
                    repair: Evidence.RepairedFile(
                        path: file.path.asPlainName.cut(utf8: 500),
                        found: file.found.rawValue,
                        size: file.size
                    )
                )
            )
        }
    }

    /// Bundles whose last route is longer ago than `keepFor`. They go with the next change, not by themselves: an idle
    /// fleet writes no entries.
    private func expired(
        _ tip: RecordedEntry,
        _ recorded: RecordedTree,
        _ batch: Batch
    ) throws -> (RetiredBundles?, [Digest]) {
        guard let plan = batch.plan, let keepFor = batch.keepFor else { return (nil, []) }
        let retired = try RetiredBundles.upTo(tip, of: ledger, keptIn: StateFile(site.files, environment))
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
}
