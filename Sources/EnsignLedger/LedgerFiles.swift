import EnsignModel
import EnsignSystem

/// Where Ensign keeps things in a git directory. All of it is this clone's own and never travels by push.
package struct LedgerFiles: Sendable, Hashable {
    /// `<git dir>/ensign`, of the git directory that all work trees share.
    package let root: String

    package init(commonDirectory: String) {
        root = commonDirectory.hasSuffix("/") ? commonDirectory + "ensign" : commonDirectory + "/ensign"
    }

    package func key(_ environment: String) -> String { "\(root)/keys/\(environment)" }
    package func lock(_ environment: String) -> String { "\(root)/locks/\(environment)" }
    /// Held by the watch of an environment as long as it lives; no environment's name has a dot.
    package func watchLock(_ environment: String) -> String { "\(root)/locks/\(environment).watch" }
    package func highWater(_ environment: String) -> String { "\(root)/high-water/\(environment)" }
    package func status(_ environment: String) -> String { "\(root)/status/\(environment).json" }
    package func observation(_ environment: String) -> String { "\(root)/cache/\(environment)/observation" }
    package func retired(_ environment: String) -> String { "\(root)/cache/\(environment)/retired" }
    package func accepted(_ environment: String) -> String { "\(root)/accepted/\(environment)" }
    package func settled(_ environment: String) -> String { "\(root)/cache/\(environment)/settled" }
    package func uses(_ environment: String) -> String { "\(root)/cache/\(environment)/uses" }
    package func clock(_ environment: String) -> String { "\(root)/cache/\(environment)/clock" }
    package var haltsFolder: String { "\(root)/halts" }
    package func halts(_ environment: String) -> String { "\(root)/halts/\(environment)" }
    package func telemetry(_ environment: String) -> String { "\(root)/cache/\(environment)/telemetry" }
    package func telemetryReading(_ environment: String) -> String { "\(root)/cache/\(environment)/reading" }
    package func analysis(_ environment: String) -> String { "\(root)/cache/\(environment)/analysis" }
    package func traffic(_ environment: String) -> String { "\(root)/cache/\(environment)/traffic" }
    package func behaviour(_ environment: String) -> String { "\(root)/cache/\(environment)/behaviour" }
    package func ownTarget(_ environment: String) -> String { "\(root)/cache/\(environment)/target" }
    package func live(_ environment: String) -> String { "\(root)/live/\(environment)" }
    package func outbox(_ environment: String) -> String { "\(root)/outbox/\(environment)" }
    package var validTree: String { "\(root)/cache/valid" }
    package var cache: String { "\(root)/cache" }

    /// Environments whose ledger this clone has written to, sorted: their refs must be there.
    package func seenEnvironments() throws -> [String] {
        try (Files.list("\(root)/high-water") ?? []).filter { Name.isValid($0) }
    }

    /// The folders that `init` makes; keys are for the owner alone.
    package var folders: [(path: String, mode: UInt32)] {
        [
            (root, 0o755), ("\(root)/keys", 0o700), ("\(root)/locks", 0o755), ("\(root)/high-water", 0o755),
            ("\(root)/status", 0o755), ("\(root)/cache", 0o755), ("\(root)/halts", 0o755),
        ]
    }
}
