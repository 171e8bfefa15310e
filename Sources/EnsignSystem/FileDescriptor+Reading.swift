import Glibc

extension FileDescriptor {
    /// What this file is.
    package func status(_ name: String) throws(SystemError) -> FileStatus {
        var info = stat()
        try attempt("look at \(name)") { unsafe fstat(number, &info) }
        return FileStatus(info)
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
        bytes += chunk
        return chunk.count
    }
}
