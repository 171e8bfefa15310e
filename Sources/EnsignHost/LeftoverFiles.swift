package import EnsignLedger
package import EnsignModel
import EnsignSystem

/// Files that killed processes left half written below `<git dir>/ensign/`.
///
/// The live directory sweeps its own, see ``DirectoryTarget``. Here an hour tells them from files that are being written:
/// other environments share the folders, and their locks are not ours.
package struct LeftoverFiles {
    private static let age: Int64 = 3_600

    /// Removes old ones. The caller holds the environment's lock.
    package static func sweep(_ files: LedgerFiles, environment: String, now: Timestamp) throws {
        for folder in files.folders.map(\.path) + files.stateFolders(environment) {
            for name in try Files.list(folder) ?? [] where name.hasPrefix(LivePath.temporaryPrefix) {
                let path = "\(folder)/\(name)"
                guard let status = try Files.status(path), status.kind == .file,
                    now.seconds - status.modified / 1_000_000_000 > age
                else { continue }
                try Files.remove(path)
            }
        }
    }
}
