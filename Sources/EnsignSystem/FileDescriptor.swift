import CSystem
package import Glibc

/// An open file, closed when it goes out of scope.
package struct FileDescriptor: ~Copyable, Sendable {
    package let number: Int32

    package init(owning number: Int32) {
        self.number = number
    }

    /// Opens a file; every descriptor is closed in child processes.
    package init(_ path: String, _ flags: Int32, mode: mode_t = 0o644, operation: String? = nil) throws(SystemError) {
        number = try attempt(operation ?? "open \(path)") { unsafe open(path, flags | O_CLOEXEC, mode) }
    }

    deinit { close(number) }

    /// Writes all bytes.
    package func write(_ bytes: [UInt8], to name: String) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = try attempt("write \(name)") {
                unsafe rest.withUnsafeBytes { buffer in
                    unsafe Glibc.write(number, buffer.baseAddress, buffer.count)
                }
            }
            rest = rest.dropFirst(written)
        }
    }

    /// Whether it is a file, not a folder, pipe or device.
    package func isRegular(_ name: String) throws(SystemError) -> Bool {
        var info = stat()
        try attempt("look at \(name)") { unsafe fstat(number, &info) }
        return info.st_mode & S_IFMT == S_IFREG
    }

    /// Reads to the end, at most `limit` bytes.
    ///
    /// - Throws: ``SystemError`` with `EFBIG` when there are more.
    package func read(limit: Int, from name: String) throws(SystemError) -> [UInt8] {
        var info = stat()
        try attempt("read \(name)") { unsafe fstat(number, &info) }
        var result: [UInt8] = []
        let expected = info.st_mode & S_IFMT == S_IFREG ? Int(info.st_size) : 4_096
        guard expected <= limit else { throw SystemError(code: EFBIG, operation: "read \(name)") }
        var capacity = expected + 1
        while true {
            let start = result.count
            var failure: SystemError?
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                count = 0
                do throws(SystemError) {
                    count = try attempt("read \(name)") {
                        unsafe Glibc.read(number, buffer.baseAddress, buffer.count)
                    }
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            if chunk.isEmpty { return result }
            if start == 0 { result = chunk } else { result += chunk }
            guard result.count <= limit else { throw SystemError(code: EFBIG, operation: "read \(name)") }
            capacity = max(capacity, 65_536)
            if start == 0, chunk.count < expected + 1, info.st_mode & S_IFMT == S_IFREG { return result }
        }
    }

    /// Sets when the file was changed last, in nanoseconds since 1970.
    package func stamp(_ modified: Int64, _ name: String) throws(SystemError) {
        let time = timespec(
            tv_sec: Int(modified / 1_000_000_000),
            tv_nsec: Int(modified % 1_000_000_000)
        )
        try attempt("stamp \(name)") { unsafe futimens(number, [time, time]) }
    }

    /// Waits until the file's bytes and metadata are on the disk.
    package func sync(_ name: String) throws(SystemError) {
        try attempt("sync \(name)") { fsync(number) }
    }

    /// Starts writing the file's pages out without waiting for the disk's cache.
    package func startSync(_ name: String) throws(SystemError) {
        try attempt("write out \(name)") { csystem_sync_file_range(number) }
    }

    /// Waits until the whole file system that holds this file is on the disk.
    package func syncFileSystem(_ name: String) throws(SystemError) {
        try attempt("sync the file system of \(name)") { csystem_syncfs(number) }
    }
}
