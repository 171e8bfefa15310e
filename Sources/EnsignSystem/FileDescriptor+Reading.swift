import Glibc

extension FileDescriptor {
    /// This file's status.
    package func status(_ name: String) throws(SystemError) -> FileStatus {
        var info = stat()
        try attempt("look at \(name)") { unsafe fstat(number, &info) }
        return FileStatus(info)
    }

    /// Where data begins at or after a place: nothing was ever written in between.
    ///
    /// The place itself if the file system does not support holes.
    ///
    /// - Returns: Nil when there is no data up to the end of the file.
    package func nextData(from offset: Int64, _ name: String) throws(SystemError) -> Int64? {
        // lseek(2): SEEK_DATA is 3 on Linux.
        let place = lseek(number, off_t(offset), 3)
        if place >= 0 { return Int64(place) }
        if errno == ENXIO { return nil }
        if errno == EINVAL { return offset }
        throw SystemError(code: errno, operation: "read \(name)")
    }

    /// Reads bytes from a place in the file and appends them.
    ///
    /// - Parameter count: The most bytes to read.
    /// - Returns: How many were read: 0 at the end of the file.
    package func read(
        at offset: Int64,
        count: Int,
        appendingTo bytes: inout [UInt8],
        from name: String
    ) throws(SystemError) -> Int {
        var failure: SystemError?
        let chunk = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = 0
            do throws(SystemError) {
                initialized = try attempt("read \(name)") {
                    unsafe pread(number, buffer.baseAddress, buffer.count, off_t(offset))
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        // Large files are read through here a part at a time: what can be handed over is not copied.
        if bytes.isEmpty { bytes = chunk } else { bytes += chunk }
        return chunk.count
    }
}
