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
    /// Whether the last line has no end: somebody died while writing it.
    private var isTorn = false

    /// A file is made anew from what still counts beyond so many bytes.
    static let most: Int64 = 256 << 10

    init(_ path: String) { self.path = path }

    /// What others wrote.
    struct News {
        /// Whether the file is another one than before, so that everything is to be read again.
        var isNew = false
        /// Lines since the last time, or all of a new file.
        var lines: [Substring] = []
        var size: Int64 = 0
    }

    /// What was read, and what may be written while nobody else can.
    struct Turn: ~Copyable {
        fileprivate var file: FileDescriptor
        let news: News
        /// Lines to append.
        var added: [String] = []
        /// Replaces everything; nil appends.
        var replacement: [String]?
    }

    // MARK: Files that have a lock

    /// Takes a turn: nobody else does meanwhile, in this process or another.
    mutating func turn<Value>(_ body: (inout Turn) throws -> Value) throws -> Value {
        var turn = try begin()
        let value = try body(&turn)
        if let replacement = turn.replacement {
            try replace(replacement)
        } else if !turn.added.isEmpty {
            try append(turn.added, to: turn.file)
        }
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
            guard status.links > 0 else { continue }
            let news = try read(file, status)
            return Turn(file: file, news: news)
        }
    }

    // MARK: Files that another file's lock is for

    /// What others wrote since; nil when there is no file. Nobody else may write meanwhile.
    mutating func news() throws(SystemError) -> News? {
        guard let status = try Files.status(path) else { return nil }
        guard status.inode != inode || status.size != offset else { return News(size: status.size) }
        let file = try FileDescriptor(path, O_RDONLY | O_NOFOLLOW, operation: "open \(path)")
        return try read(file, try file.status(path))
    }

    /// Adds lines. Nobody else may write meanwhile.
    mutating func append(_ lines: [String]) throws(SystemError) {
        let file = try FileDescriptor(
            path,
            O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
            mode: 0o600,
            operation: "open \(path)"
        )
        if inode == 0 { inode = try file.status(path).inode }
        try append(lines, to: file)
    }

    /// Puts lines in the place of all that there are.
    mutating func replace(_ lines: [String]) throws(SystemError) {
        let bytes = Array(lines.map { $0 + "\n" }.joined().utf8)
        try Files.replace(path, with: bytes, mode: 0o600, durable: false)
        inode = try Files.status(path)?.inode ?? 0
        offset = Int64(bytes.count)
        isTorn = false
    }

    // MARK: Both

    private mutating func read(_ file: borrowing FileDescriptor, _ status: FileStatus) throws(SystemError) -> News {
        var news = News(isNew: status.inode != inode || status.size < offset, size: status.size)
        if news.isNew { (inode, offset, isTorn) = (status.inode, 0, false) }
        guard status.size > offset else { return news }
        var bytes: [UInt8] = []
        while Int64(bytes.count) < status.size - offset {
            let place = offset + Int64(bytes.count)
            let count = Int(status.size - place)
            guard try file.read(at: place, count: count, appendingTo: &bytes, from: path) > 0 else {
                throw SystemError(code: EIO, operation: "read \(path)")
            }
        }
        isTorn = bytes.last != 0x0A
        news.lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: true)
        if isTorn { news.lines.removeLast() }
        offset = status.size
        return news
    }

    private mutating func append(_ lines: [String], to file: borrowing FileDescriptor) throws(SystemError) {
        let bytes = Array(((isTorn ? "\n" : "") + lines.map { $0 + "\n" }.joined()).utf8)
        try file.write(bytes, to: path)
        offset += Int64(bytes.count)
        isTorn = false
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
