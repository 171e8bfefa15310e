import CZlib
import EnsignModel
import EnsignSystem
import Glibc

/// Reads lines of files, compressed or not, in bounded memory.
package enum LogReader {
    /// What is read and longer than any line is handed over as one that is cut.
    static let most = LogLine.mostBytes + 1

    /// Hands over each line without its line feed, and whether it has one. Stops when `take` returns false.
    ///
    /// - Parameter offset: Where to begin, in bytes of the file as it is before compression.
    package static func lines(
        of file: String,
        from offset: Int64 = 0,
        _ take: (_ bytes: [UInt8], _ isWhole: Bool) throws(RecordFailure) -> Bool
    ) throws(RecordFailure) {
        let reader = try Compressed.Reader(file)
        if offset > 0 { try reader.skip(to: offset) }
        var pending: [UInt8] = []
        while true {
            let chunk = try reader.next()
            if chunk.isEmpty { break }
            var rest = chunk[...]
            while let end = rest.firstIndex(of: 0x0A) {
                pending += rest[..<end].prefix(most - min(pending.count, most))
                guard try take(pending, true) else { return }
                pending.removeAll(keepingCapacity: true)
                rest = rest[(end + 1)...]
            }
            pending += rest.prefix(most - min(pending.count, most))
        }
        if !pending.isEmpty { _ = try take(pending, false) }
    }
}

/// gzip (RFC 1952), by zlib. What is not compressed is read as it is.
enum Compressed {
    /// An open file.
    @safe
    struct Reader: ~Copyable {
        private let handle: gzFile
        private let name: String

        init(_ name: String) throws(RecordFailure) {
            guard let handle = unsafe gzopen(name, "rbe") else {
                throw RecordFailure("cannot read \(name): \(SystemError(code: errno, operation: "open it"))")
            }
            unsafe self.handle = unsafe handle
            self.name = name
            unsafe gzbuffer(handle, 1 << 17)
        }

        deinit { unsafe gzclose_r(handle) }

        func skip(to offset: Int64) throws(RecordFailure) {
            guard unsafe gzseek(handle, Int(offset), SEEK_SET) >= 0 else { throw RecordFailure("cannot read \(name)") }
        }

        /// Some bytes; none at the end.
        func next() throws(RecordFailure) -> [UInt8] {
            var count: Int32 = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, filled in
                count = unsafe gzread(handle, buffer.baseAddress, 65_536)
                filled = Int(max(count, 0))
            }
            guard count >= 0 else { throw RecordFailure("\(name) is damaged: it cannot be decompressed") }
            return bytes
        }
    }

    /// Compresses a file; what is written appears complete.
    static func compress(_ file: String, to path: String) throws(RecordFailure) {
        let reader = try Reader(file)
        let temporary = Files.temporaryName(for: path)
        guard let handle = unsafe gzopen(temporary, "wb6e") else {
            throw RecordFailure(SystemError(code: errno, operation: "write \(temporary)").description)
        }
        func give(up message: String) -> RecordFailure {
            _ = unsafe unlink(temporary)
            return RecordFailure(message)
        }
        do throws(RecordFailure) {
            while true {
                let chunk = try reader.next()
                if chunk.isEmpty { break }
                guard unsafe gzwrite(handle, chunk, UInt32(chunk.count)) == Int32(chunk.count) else {
                    throw RecordFailure("cannot compress \(file)")
                }
            }
        } catch {
            unsafe gzclose_w(handle)
            throw give(up: error.message)
        }
        guard unsafe gzclose_w(handle) == Z_OK else { throw give(up: "cannot compress \(file)") }
        _ = unsafe chmod(temporary, 0o600)
        try recording {
            try FileDescriptor(temporary, O_RDONLY).sync(path)
            try Files.rename(temporary, to: path)
        }
    }
}
