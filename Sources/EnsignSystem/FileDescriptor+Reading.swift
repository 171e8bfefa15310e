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
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: count))
        var result = 0
        do throws(SystemError) {
            result = try attempt("read \(name)") {
                unsafe bytes.withUnsafeMutableBytes {
                    unsafe pread(number, $0.baseAddress.map { unsafe $0 + start }, count, off_t(offset))
                }
            }
        } catch {
            bytes.removeSubrange(start...)
            throw error
        }
        bytes.removeSubrange((start + result)...)
        return result
    }
}
