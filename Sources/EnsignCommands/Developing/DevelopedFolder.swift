import EnsignSystem

/// The folder of one `ensign dev`, for this account alone: the live directory, the keys, the gateway's state.
///
/// A lock in it says that its `ensign dev` lives. What a killed one has left the next one removes.
final class DevelopedFolder {
    let path: String
    private let lock: FileLock

    static let prefix = "ensign-dev-"

    init(in parent: String) throws(SystemError) {
        Self.removeLeft(in: parent)
        path = try Files.makePrivateFolder(in: parent, prefix: Self.prefix)
        lock = try FileLock(Self.lock(of: path), timeout: .zero)
    }

    private static func lock(of folder: String) -> String { "\(folder)/lock" }

    /// Removes it, while its lock is held.
    func remove() { try? Files.removeTree(path) }

    /// Removes the folders whose `ensign dev` is dead. Others' folders, and what only has such a name, stay.
    static func removeLeft(in parent: String) {
        for name in (try? Files.list(parent)) ?? [] where name.hasPrefix(prefix) {
            let folder = "\(parent)/\(name)"
            guard let status = try? Files.status(folder), status.kind == .directory,
                status.owner == Machine.effectiveUserID, status.permissions & 0o077 == 0
            else { continue }
            // One that is being made has no lock yet: it stays.
            guard let known = try? Files.status(lock(of: folder)), known.kind == .file else { continue }
            guard let isHeld = try? FileLock.isHeld(lock(of: folder)), !isHeld else { continue }
            try? Files.removeTree(folder)
        }
    }
}
