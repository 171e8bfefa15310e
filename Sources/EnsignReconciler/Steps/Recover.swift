import EnsignCrypto
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignTargets

/// Step 2: did a run die between intent and outcome?
extension ReconcileSession {
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
        let seal = LiveSeal(key: try key(), entry: intent.entry.sequence)
        var applied: [Change] = []
        var edits: [String: FileContent?] = [:]
        var live = intent.agents
        // Bundles that came before their routes: nobody reads them, and they are ours, not drift.
        var leftovers: [String] = []
        for effect in effects {
            guard let files = try published(effect, intent, seal) else {
                for digest in effect.digests.sorted() where try !recorded.keeps(digest) {
                    leftovers.append(LivePath.bundle(digest))
                }
                continue
            }
            for (path, content) in files.edits { edits[path] = .some(content) }
            applied += effect.changes
            live += effect.changes.live
        }
        for change in changes {
            // Rules take effect by being recorded.
            if change.rules != nil { applied.append(change) }
            // So do stops of teams: who is stopped already does not say it of those that come later. The end of one is asked for
            // again.
            if change.scope != nil, change.action == .halt, let halts = change.evidence?.fleet?.halts {
                applied.append(change)
                edits[FleetHalts.path] = .some(halts.bytes.map { .bytes($0) })
            }
            if let scope = change.scope, change.action == .resume {
                report.warnings.append("\(scope) itself stays halted, for what comes later: the run that ended it died")
            }
            guard let file = change.file else { continue }
            let found = try target.read(file.path)
            guard found.map({ Digest(hex: SHA256.hex(of: $0)) }) == file.digest else { continue }
            edits[file.path] = .some(found.map { .bytes($0) })
            applied.append(change)
        }
        let wanted = changes.count { $0.action != .repair }
        let result: Entry.Result = applied.count == wanted ? .ok : applied.isEmpty ? .failed : .partial
        try append(
            draft(
                .recovery,
                Cause(source: intent.entry.source, parent: intent.acceptedSource),
                reason: Entry.Reason(.interrupted),
                changes: applied,
                agents: live,
                result: result
            ),
            edits: edits
        )
        try target.publish(Publication(removals: leftovers), gate: gate)
        try publishHeader()
        report.recovered = true
    }

    /// What changes of an agent did to the target; nil when it is not all there.
    private func published(_ effect: AgentEffect, _ intent: RecordedEntry, _ seal: LiveSeal) throws -> AgentFiles? {
        let found = try target.read(LivePath.route(effect.agent))
        // A version that did not sign routes may have died here.
        let isBare = intent.entry.format == .v1 && found == effect.route?.bytes
        guard isBare || found == effect.route.map(seal.route) else { return nil }
        var bundles: [AgentFiles.BundleFile] = []
        for digest in effect.digests {
            guard let bundle = try target.read(LivePath.bundle(digest)), Compiler.digest(of: bundle) == digest else {
                return nil
            }
            bundles.append((digest, .bytes(bundle)))
        }
        return AgentFiles(effect, route: found.map { .bytes($0) }, bundles: bundles)
    }
}
