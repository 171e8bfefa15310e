import EnsignHost
import EnsignLedger

/// What an earlier release kept in `cache/` and `accepted/` although it cannot be made again: it is brought to `state/`
/// once, so that an update loses nothing and a deleted cache does not either. Telemetry's own is ``TelemetryPipeline``'s.
enum FormerState {
    /// The caller holds the environment's lock. What cannot be moved now is read where it is until it can.
    static func takeOver(_ files: LedgerFiles, _ environment: String) {
        takeOver(AcceptedCommit.self, files, environment)
        takeOver(AnalysisState.self, files, environment)
        takeOver(ClockReading.self, files, environment)
        takeOver(OwnTarget.self, files, environment)
    }

    /// Each run asks, and nearly none finds anything: one look at the path comes before all else.
    private static func takeOver<Value: StateValue>(_: Value.Type, _ files: LedgerFiles, _ environment: String) {
        guard Value.kind.hasFormer(files, environment) else { return }
        try? StateFile<Value>(files, environment).takeOver()
    }
}
