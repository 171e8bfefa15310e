import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignTargets

/// Step 6: is the target what is recorded?
extension ReconcileSession {
    mutating func observe() throws {
        guard let tip else { return }
        let place = StateFile<ObservationPlace>(site.files, environment)
        unsealed = try Unsealed(tip, ledger, usesMemo: !reconciler.options.ignoresCache)
        let expected = try RecordedFiles(tip, ledger, allowsBareHeader: !unsealed.isEmpty)
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
        report.drift = []
        for file in try withoutHalted(observation.drift) where try !isStaleHeader(file, tip) {
            report.drift.append(file)
        }
    }

    /// A run that died after its outcome and before the header left the header before it: ours, and not drift.
    private mutating func isStaleHeader(_ file: DriftedFile, _ tip: RecordedEntry) throws -> Bool {
        guard file.path == LivePath.header else { return false }
        let newest = try ledger.publishing(tip)
        let isStale: Bool
        if let found = try target.read(LivePath.header) {
            guard let before = newest.entry.previous else { return false }
            isStale = try ExpectedHeader(
                ledger.publishing(ledger.read(before.commit)),
                tip: tip,
                allowsBare: !unsealed.isEmpty
            ).matches(found)
        } else {
            // Nothing was ever published after genesis.
            isStale = newest.entry.kind == .genesis
        }
        if isStale { try publishHeader() }
        return isStale
    }

    /// What differs, without routes of agents that were halted while this run looked.
    private func withoutHalted(_ drift: [DriftedFile]) throws -> [DriftedFile] {
        guard !drift.isEmpty else { return [] }
        let pending = try halts.file.read().pending
        guard !pending.isEmpty else { return drift }
        return try drift.filter { try !halts.explains($0, pending) }
    }
}
