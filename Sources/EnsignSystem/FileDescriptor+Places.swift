import CSystem
import Glibc

extension FileDescriptor {
    /// Writes bytes at a place in the file. If the file's space is already allocated, this works on a full disk.
    package func write(_ bytes: [UInt8], at offset: Int64, to name: String) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            done += try attempt("write \(name)") {
                unsafe bytes.withUnsafeBytes { buffer in
                    let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[done...])
                    return unsafe pwrite(number, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
                }
            }
        }
    }

    /// Waits until the file's bytes are on the disk; with only the metadata that reading them needs.
    package func syncData(_ name: String) throws(SystemError) {
        try attempt("sync \(name)") { fdatasync(number) }
    }

    /// Reserves disk space for a part of the file, before anything is written there.
    package func allocate(from offset: Int64, count: Int64, _ name: String) throws(SystemError) {
        let code = posix_fallocate(number, off_t(offset), off_t(count))
        // If the file system cannot, the zeros that are written next take the space.
        guard code == 0 || code == EOPNOTSUPP || code == EINVAL else {
            throw SystemError(code: code, operation: "make room for \(name)")
        }
    }

    /// Whether the file is on a file system of this machine alone, so that each change of it shows at once in its status.
    /// Over a network it may show late. False where nobody knows.
    package var isOnThisMachine: Bool { csystem_is_local_file_system(number) == 1 }

    /// Runs `body` with a lock on the open file, waiting at most `timeout`.
    ///
    /// - Throws: ``SystemError`` with `EWOULDBLOCK` when somebody else still holds it then; `body` has not run.
    package func locked<Value>(
        exclusively: Bool,
        timeout: Duration,
        _ name: String,
        _ body: () throws -> Value
    ) throws -> Value {
        let deadline = ContinuousClock.now + timeout
        var pause: UInt32 = 200
        while flock(number, (exclusively ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 {
            let code = errno
            guard code == EWOULDBLOCK || code == EINTR, ContinuousClock.now < deadline else {
                throw SystemError(code: code, operation: "lock \(name)")
            }
            usleep(pause)
            pause = min(pause * 2, 5_000)
        }
        defer { _ = flock(number, LOCK_UN) }
        return try body()
    }
}
