import EnsignHost
import EnsignLedger

/// What an earlier release kept in `cache/` and `accepted/` although it cannot be made again: it is brought to `state/`
/// once, so that an update loses nothing and a deleted cache does not either. Telemetry's own is ``TelemetryPipeline``'s.
enum FormerState {
    /// The caller holds the environment's lock. What cannot be moved now is read where it is until it can.
    static func takeOver(_ files: LedgerFiles, _ environment: String) {
        try? StateFile<AcceptedCommit>(files, environment).takeOver()
        try? StateFile<AnalysisState>(files, environment).takeOver()
        try? StateFile<ClockReading>(files, environment).takeOver()
        try? StateFile<OwnTarget>(files, environment).takeOver()
    }
}
