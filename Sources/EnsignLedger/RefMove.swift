import EnsignGit
import EnsignModel
import EnsignSystem
import Glibc

/// Moves the ref of one ledger, durably. The caller holds the environment's lock.
///
/// Git's protocol (refs/files-backend.c): whoever makes `<ref>.lock` may change the ref, and a rename of the lock is the
/// change. Other git processes take that lock too: `git pack-refs` holds it while it removes the file of a packed ref.
/// So a lock is never taken away from a process that may be alive. What a killed run of Ensign has left is told apart by
/// a second name of the same file: the lock appears as a link to `<ref>.move.lock`, and only Ensign makes those.
struct RefMove {
    let repository: Repository
    let environment: String

    /// How old a lock that somebody else has left must be before it counts as abandoned.
    private static let abandoned: Int64 = 60_000_000_000
    /// How long another process's lock is waited for.
    private static let patience = Duration.seconds(65)

    private var ref: String { Ledger.prefix + environment }
    private var path: String { repository.commonDirectory + ref }
    private var lock: String { path + ".lock" }
    /// Git and libgit2 pass over names that end in `.lock`; no environment's name has a dot.
    private var own: String { path + ".move.lock" }

    /// Moves it.
    ///
    /// - Parameters:
    ///   - expected: What it must name now; nil when it must not exist.
    ///   - time: For the reflog, where there is one.
    /// - Throws: ``LedgerError/lostRace(environment:)`` when it names something else; then nothing has changed. After any
    ///   other error the ref says whether it has moved.
    func run(from expected: ObjectID?, to commit: ObjectID, message: String, time: Timestamp) throws {
        try clearOwn()
        try makeOwn(commit)
        defer { try? Files.remove(own) }
        guard try takeLock() else {
            // A file system without hard links: libgit2 makes the lock, and a killed run blocks the next for a minute.
            return try repository.move(ref, from: expected, to: commit, message: message)
        }
        do {
            guard try repository.reference(ref) == expected else {
                throw LedgerError.lostRace(environment: environment)
            }
            try checkPlace(isNew: expected == nil)
            try log(from: expected, to: commit, message, time)
            try Files.rename(lock, to: path)
        } catch {
            try? Files.remove(lock)
            throw error
        }
        repository.share(ref)
        if let folder = Files.parent(of: path) { try Files.syncDirectory(folder) }
    }

    /// Writes what the ref is to say. Git removes folders of refs that have become empty: from then on this one is not.
    private func makeOwn(_ commit: ObjectID) throws(SystemError) {
        var tries = 0
        while true {
            do throws(SystemError) {
                if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
                guard try Files.create(own, with: Array("\(commit)\n".utf8), mode: 0o644) else {
                    throw SystemError(code: EEXIST, operation: "make \(own)")
                }
                return
            } catch {
                tries += 1
                guard error.isMissing, tries < 100 else { throw error }
            }
        }
    }

    /// Removes what a killed run has left.
    private func clearOwn() throws {
        guard let mine = try Files.status(own) else { return }
        if let held = try Files.status(lock), held.inode == mine.inode, held.device == mine.device {
            try Files.remove(lock)
        }
        try Files.remove(own)
    }

    /// Makes the lock; waits for another process that has it.
    ///
    /// - Returns: False where files cannot have two names.
    /// - Throws: ``GitError`` whose `isLocked` is true when it has not become free in time.
    private func takeLock() throws -> Bool {
        let deadline = ContinuousClock.now + Self.patience
        var pause: UInt32 = 500
        while true {
            do throws(SystemError) {
                try Files.link(own, to: lock)
                return true
            } catch {
                if [EPERM, EOPNOTSUPP, ENOSYS, EMLINK].contains(error.code) { return false }
                guard error.code == EEXIST else { throw error }
            }
            if try isAbandoned() {
                try Files.remove(lock)
                continue
            }
            guard ContinuousClock.now < deadline else { throw GitError.locked(ref, lock) }
            usleep(pause)
            pause = min(pause * 2, 20_000)
        }
    }

    private func isAbandoned() throws -> Bool {
        guard let status = try Files.status(lock) else { return false }
        return Machine.fileTime.subtracting(saturating: status.changed) > Self.abandoned
    }

    /// Git leaves empty folders where refs below this name were, and refuses a ref beside refs below it.
    private func checkPlace(isNew: Bool) throws {
        guard isNew else { return }
        Files.removeEmptyDirectory(path)
        guard let below = try repository.referenceNames(matching: ref + "/*").first else { return }
        throw GitError(code: -1, operation: "make \(ref)", message: "there is '\(below)', and git cannot have both")
    }

    /// Git keeps no reflog of refs/ensign unless it is told to: `core.logAllRefUpdates=always`, or a log that is there.
    private func log(from expected: ObjectID?, to commit: ObjectID, _ message: String, _ time: Timestamp) throws {
        let file = "\(repository.commonDirectory)logs/\(ref)"
        if try Files.status(file) == nil {
            guard try repository.configuration()["core.logallrefupdates"]?.lowercased() == "always" else { return }
            if let folder = Files.parent(of: file) { try Files.makeDirectories(folder) }
        }
        let who = "Ensign \(environment) <\(environment)@ensign.invalid> \(time.seconds) +0000"
        defer { repository.share("logs/\(ref)") }
        try Files.append("\(expected ?? .zero) \(commit) \(who)\t\(message.onOneLine)\n", to: file)
    }
}
