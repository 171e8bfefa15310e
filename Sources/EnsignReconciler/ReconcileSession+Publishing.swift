import EnsignCrypto
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// Step 5: intent, publish, outcome.
extension ReconcileSession {
    mutating func repairAlone(_ drift: [DriftedFile]) throws {
        guard let accepted = tip?.acceptedSource, !drift.isEmpty else { return }
        let result = report.result
        try apply(nil, drift, accepted)
        report.result = result
    }

    mutating func apply(_ plan: Plan?, _ drift: [DriftedFile], _ source: ObjectID) throws {
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
        let reason = Override.reason(
            plan == nil || changes.count == repairs.count && !repairs.isEmpty ? "drift" : "sync",
            plan == nil ? nil : reconciler.options.override
        )
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
        if let halts = plan?.halts { edits[FleetHalts.path] = .some(halts.bytes) }
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

    func checkTarget() throws {
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
        var changes = [plan.fleetChange].compactMap { $0 } + plan.changes.flatMap(\.all)
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
                        path: file.path.escapedForDisplay.cut(utf8: 500),
                        found: file.found.rawValue,
                        size: file.size
                    )
                )
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
