import EnsignModel
import EnsignSystem

/// Where Ensign keeps its files in a git directory; for what it remembers between runs, see ``StateKind``. All of it
/// belongs to this clone and is never pushed.
package struct LedgerFiles: Sendable, Hashable {
    /// `<git dir>/ensign`, of the git directory that all work trees share.
    package let root: String

    package init(commonDirectory: String) {
        root = commonDirectory.hasSuffix("/") ? commonDirectory + "ensign" : commonDirectory + "/ensign"
    }

    package func key(_ environment: String) -> String { "\(root)/keys/\(environment)" }
    /// The key with which what is in `cache/` is sealed.
    package var cacheKey: String { "\(root)/cache.key" }
    package func lock(_ environment: String) -> String { "\(root)/locks/\(environment)" }
    /// Held by an environment's watch as long as it runs; no environment's name has a dot.
    package func watchLock(_ environment: String) -> String { "\(root)/locks/\(environment).watch" }
    package func highWater(_ environment: String) -> String { "\(root)/high-water/\(environment)" }
    package var haltsFolder: String { "\(root)/halts" }
    package func halts(_ environment: String) -> String { "\(root)/halts/\(environment)" }
    package var liveFolder: String { "\(root)/live" }
    package func live(_ environment: String) -> String { "\(liveFolder)/\(environment)" }
    /// Held by the process that reads an environment's telemetry.
    package func telemetryLock(_ environment: String) -> String { "\(root)/locks/\(environment).telemetry" }
    /// That lock's path in 0.1.0, whose watch may still run while Ensign is updated.
    package func formerTelemetryLock(_ environment: String) -> String { "\(root)/cache/\(environment)/telemetry.lock" }

    /// Where files may be that only last for a moment.
    package var scratch: String { "\(root)/cache" }

    /// The folders of what is kept about an environment between runs; see ``StateKind``.
    package func stateFolders(_ environment: String) -> [String] {
        ["\(root)/cache/\(environment)", "\(root)/state/\(environment)", "\(root)/outbox"]
    }

    /// Environments whose ledger this clone has written to, sorted: their refs must be there.
    package func seenEnvironments() throws -> [String] {
        try (Files.list("\(root)/high-water") ?? []).filter { Name.isValid($0) }
    }

    /// Environments that have a key in its usual place, sorted; none for an account that may not look there.
    package func keyedEnvironments() throws -> [String] {
        let names: [String]?
        do throws(SystemError) { names = try Files.list("\(root)/keys") } catch {
            guard error.isDenied else { throw error }
            return []
        }
        return (names ?? []).filter { Name.isValid($0) }
    }

    /// The folders that `init` makes; only the owner may read keys.
    package var folders: [(path: String, mode: UInt32)] {
        [
            (root, 0o755), ("\(root)/keys", 0o700), ("\(root)/locks", 0o755), ("\(root)/high-water", 0o755),
            ("\(root)/status", 0o755), ("\(root)/cache", 0o755), ("\(root)/halts", 0o755),
        ]
    }
}
