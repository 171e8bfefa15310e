import EnsignSystem
import Glibc

/// A file of lines to which several processes append, each of which goes on from where it read last.
///
/// Not for concurrent use: whoever has one has a lock around it. What is appended outlives this process, not the machine's
/// power.
struct EventFile: Sendable {
    let path: String
    private var inode: UInt64 = 0
    private var offset: Int64 = 0

    /// A file is made anew from what still counts beyond so many bytes.
    static let most: Int64 = 256 << 10

    init(_ path: String) { self.path = path }

    /// What was read, and what may be written while nobody else can.
    struct Turn: ~Copyable {
        fileprivate var file: FileDescriptor
        /// Whether the file is another one than before, so that everything is to be read again.
        let isNew: Bool
        /// Lines since the last turn, or all of a new file.
        let lines: [Substring]
        /// Whether the last line has no end: somebody died while writing it.
        fileprivate let isTorn: Bool
        /// Lines to append.
        var added: [String] = []
        /// Replaces everything; nil appends.
        var replacement: [String]?
        let size: Int64
    }

    /// Takes a turn: nobody else does meanwhile, in this process or another.
    mutating func turn<Value>(_ body: (inout Turn) throws -> Value) throws -> Value {
        var turn = try begin()
        let value = try body(&turn)
        try end(turn)
        return value
    }

    private mutating func begin() throws(SystemError) -> Turn {
        while true {
            let file = try FileDescriptor(
                path,
                O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW,
                mode: 0o600,
                operation: "open \(path)"
            )
            try file.lock(path)
            let status = try file.status(path)
            // Somebody may have replaced it while we waited.
            guard try Files.status(path)?.inode == status.inode else { continue }
            let isNew = status.inode != inode || status.size < offset
            if isNew { (inode, offset) = (status.inode, 0) }
            var bytes: [UInt8] = []
            if status.size > offset {
                let count = Int(status.size - offset)
                guard try file.read(at: offset, count: count, appendingTo: &bytes, from: path) == count else {
                    continue
                }
            }
            let isTorn = bytes.last.map { $0 != 0x0A } ?? false
            let text = String(decoding: bytes, as: UTF8.self)
            var lines = text.split(separator: "\n", omittingEmptySubsequences: true)
            if isTorn, !lines.isEmpty { lines.removeLast() }
            offset = status.size
            return Turn(file: file, isNew: isNew, lines: lines, isTorn: isTorn, size: status.size)
        }
    }

    private mutating func end(_ turn: consuming Turn) throws(SystemError) {
        if let replacement = turn.replacement {
            let bytes = Array(replacement.map { $0 + "\n" }.joined().utf8)
            try Files.replace(path, with: bytes, mode: 0o600, durable: false)
            inode = try Files.status(path)?.inode ?? 0
            offset = Int64(bytes.count)
            return
        }
        guard !turn.added.isEmpty else { return }
        let bytes = Array(((turn.isTorn ? "\n" : "") + turn.added.map { $0 + "\n" }.joined()).utf8)
        try turn.file.write(bytes, to: path)
        offset += Int64(bytes.count)
    }
}

extension FileDescriptor {
    /// Waits until nobody else holds the lock; it ends with the descriptor.
    fileprivate func lock(_ path: String) throws(SystemError) {
        while flock(number, LOCK_EX) != 0 {
            guard errno == EINTR else { throw SystemError(code: errno, operation: "lock \(path)") }
        }
    }
}
