import CSystem
import Glibc
import Synchronization

/// A file without a name, which goes with the process: for what would take too much memory.
package final class NamelessFile: Sendable {
    private let descriptor: FileDescriptor
    private let end = Mutex<Int64>(0)

    /// - Throws: ``SystemError`` also where the file system does not have such files.
    package init(in folder: String) throws(SystemError) {
        let number = try attempt("make a file in \(folder)") { unsafe csystem_open_nameless(folder) }
        descriptor = FileDescriptor(owning: number)
    }

    /// - Returns: Where the bytes begin.
    package func append(_ bytes: [UInt8]) throws(SystemError) -> Int64 {
        let offset = end.withLock { end in
            defer { end += Int64(bytes.count) }
            return end
        }
        try descriptor.write(bytes, at: offset, to: Self.name)
        return offset
    }

    package func read(_ count: Int, at offset: Int64) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let place = offset + Int64(bytes.count)
            let part = try descriptor.read(
                at: place,
                count: count - bytes.count,
                appendingTo: &bytes,
                from: Self.name
            )
            // It was written: only the disk can have lost it.
            guard part > 0 else { throw SystemError(code: EIO, operation: "read \(Self.name)") }
        }
        return bytes
    }

    private static let name = "a file without a name"
}
