import EnsignHost
import EnsignLedger
import EnsignSystem

/// The claim of a running watch on its environment. Ends with the process, however that ends.
final class WatchClaim: Sendable {
    private let lock: FileLock

    /// - Returns: nil when another watch has the claim: one of the two is enough.
    init?(_ environment: String, _ site: Site) throws {
        let path = site.files.watchLock(environment)
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        do throws(SystemError) {
            // Whoever asks for the watch has the lock for a moment.
            lock = try FileLock(path, timeout: .milliseconds(50))
        } catch {
            guard error.isBusy else { throw error }
            return nil
        }
    }
}
