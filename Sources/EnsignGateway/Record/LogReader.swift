import CZlib
import EnsignModel
import EnsignSystem
import Glibc

/// Reads lines of files, compressed or not, in bounded memory and time.
package enum LogReader {
    /// What is read and longer than any line is handed over as one that is cut.
    static let most = LogLine.mostBytes + 1
    /// The most bytes that are passed over because a line is too long: what is behind them is not read.
    static let mostPassedOver = 64 << 20

    /// Hands over each line without its line feed, and whether it has one. Stops when `take` returns false, and behind a line
    /// that is far too long.
    ///
    /// - Parameter offset: Where to begin, in bytes of the file as it is before compression.
    /// - Throws: ``RecordFailure`` where it is not a file that ends: a pipe, a device.
    package static func lines(
        of file: String,
        from offset: Int64 = 0,
        _ take: (_ bytes: [UInt8], _ isWhole: Bool) throws(RecordFailure) -> Bool
    ) throws(RecordFailure) {
        let reader = try Compressed.Reader(file)
        if offset > 0 { try reader.skip(to: offset) }
        var pending: [UInt8] = []
        var passedOver = 0
        func add(_ bytes: ArraySlice<UInt8>) {
            let kept = bytes.prefix(most - pending.count)
            pending += kept
            passedOver += bytes.count - kept.count
        }
        while true {
            let chunk = try reader.next()
            if chunk.isEmpty { break }
            var start = 0
            while let end = lineEnd(in: chunk, from: start) {
                add(chunk[start..<end])
                guard try take(pending, true) else { return }
                pending.removeAll(keepingCapacity: true)
                passedOver = 0
                start = end + 1
            }
            add(chunk[start...])
            if passedOver > mostPassedOver { break }
        }
        if !pending.isEmpty { _ = try take(pending, false) }
    }

    private static func lineEnd(in bytes: [UInt8], from start: Int) -> Int? {
        unsafe bytes.withUnsafeBytes { buffer in
            guard start < buffer.count, let base = buffer.baseAddress,
                let found = unsafe memchr(base + start, 0x0A, buffer.count - start)
            else { return nil }
            return unsafe UnsafeRawPointer(found) - base
        }
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
            // Never waits for a writer, even if somebody has put a pipe there.
            let file = try recording { try FileDescriptor(name, O_RDONLY | O_NONBLOCK, operation: "read \(name)") }
            guard try recording({ try file.isRegular(name) }) else {
                throw RecordFailure("\(name) is not a regular file: a log is read from files that end")
            }
            let number = fcntl(file.number, F_DUPFD_CLOEXEC, 0)
            guard number >= 0, let handle = unsafe gzdopen(number, "rb") else {
                if number >= 0 { close(number) }
                throw RecordFailure(SystemError(code: errno, operation: "read \(name)").description)
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
