import Glibc

/// An exclusive lock on a file, held until it goes out of scope; the kernel releases it when the process dies.
package struct FileLock: ~Copyable, Sendable {
    private let file: FileDescriptor

    /// Takes the lock, waiting at most `timeout`.
    ///
    /// - Throws: ``SystemError`` with `EWOULDBLOCK` when another process still holds it then.
    package init(_ path: String, timeout: Duration) throws(SystemError) {
        let file = try FileDescriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, operation: "lock \(path)")
        let deadline = ContinuousClock.now + timeout
        var pause: UInt32 = 500
        while flock(file.number, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw SystemError(code: errno, operation: "lock \(path)")
            }
            guard ContinuousClock.now < deadline else {
                throw SystemError(code: EWOULDBLOCK, operation: "lock \(path)")
            }
            usleep(pause)
            pause = min(pause * 2, 20_000)
        }
        self.file = file
    }

    /// Whether somebody holds the lock now. Does not disturb others that ask for it, or want it, at the same moment.
    ///
    /// - Returns: False when there is no such file; nil when this account may not read it.
    package static func isHeld(_ path: String) throws(SystemError) -> Bool? {
        do throws(SystemError) {
            let file = try FileDescriptor(path, O_RDONLY | O_NOFOLLOW, operation: "look at the lock \(path)")
            // Shared: two askers do not mistake each other for the holder.
            if flock(file.number, LOCK_SH | LOCK_NB) == 0 { return false }
            guard errno == EWOULDBLOCK else { throw SystemError(code: errno, operation: "look at the lock \(path)") }
            return true
        } catch {
            if error.isMissing { return false }
            guard error.code == EACCES else { throw error }
            return nil
        }
    }
}
