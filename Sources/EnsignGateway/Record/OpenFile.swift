import EnsignSystem
import Glibc
import Synchronization

/// An open file that several values may hold.
final class OpenFile: Sendable {
    let descriptor: FileDescriptor
    let inode: UInt64
    let device: UInt64
    /// When its lock was waited for in vain.
    private let gaveUp = Mutex<ContinuousClock.Instant?>(nil)

    init(_ descriptor: consuming FileDescriptor, _ path: String) throws(SystemError) {
        let status = try descriptor.status(path)
        (inode, device) = (status.inode, status.device)
        self.descriptor = descriptor
    }

    /// How long a lock is waited for: those who have one hold it for less than a millisecond, unless they were stopped.
    static let patience = Duration.seconds(10)

    /// Locks it for this process alone. Where that took too long a moment ago, others who wanted it meanwhile wait no longer.
    ///
    /// - Throws: ``SystemError`` with `EWOULDBLOCK` where another process holds it on and on.
    func lock(_ path: String, patience: Duration = patience) throws(SystemError) {
        let began = ContinuousClock.now
        let isHopeless = gaveUp.withLock { $0.map { began - $0 < patience } ?? false }
        var pause: UInt32 = 50
        while flock(descriptor.number, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            guard code == EWOULDBLOCK || code == EINTR else { throw SystemError(code: code, operation: "lock \(path)") }
            guard !isHopeless, ContinuousClock.now - began < patience else {
                if !isHopeless { gaveUp.withLock { $0 = .now } }
                throw SystemError(code: EWOULDBLOCK, operation: "lock \(path)")
            }
            usleep(pause)
            pause = min(pause * 2, 1_000)
        }
        gaveUp.withLock { $0 = nil }
    }
}

extension FileStatus {
    /// Whether what is at the path is what was opened.
    func isFile(of opened: OpenFile) -> Bool { inode == opened.inode && device == opened.device }
}
