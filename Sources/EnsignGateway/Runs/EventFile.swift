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
    /// The file of ``inode``, kept open between its uses.
    private var opened: OpenFile?

    /// A file is made anew from what still counts beyond so many bytes, or more where more still counts.
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
    struct Turn {
        let news: News
        /// Lines to append.
        var added: [String] = []
        /// Replaces everything; nil appends.
        var replacement: [String]?
    }

    /// Keeps no descriptor until the next use.
    mutating func close() { opened = nil }

    // MARK: Files that have a lock

    /// Takes a turn: nobody else does meanwhile, in this process or another.
    mutating func turn<Value>(_ body: (inout Turn) throws -> Value) throws -> Value {
        let (file, status) = try lock()
        defer { flock(file.descriptor.number, LOCK_UN) }
        var turn = Turn(news: try read(file, status))
        let value = try body(&turn)
        if let replacement = turn.replacement {
            try replace(replacement)
        } else if !turn.added.isEmpty {
            try append(turn.added, to: file)
        }
        return value
    }

    private mutating func lock() throws(SystemError) -> (OpenFile, FileStatus) {
        while true {
            let file = try openedFile()
            try file.lock(path)
            // Somebody may have replaced it while we waited, or since it was opened: then it has no name any more.
            let status = try file.descriptor.status(path)
            if status.links > 0 { return (file, status) }
            flock(file.descriptor.number, LOCK_UN)
            opened = nil
        }
    }

    // MARK: Files that another file's lock is for

    /// What others wrote since; nil when there is no file. Nobody else may write meanwhile.
    mutating func news() throws(SystemError) -> News? {
        // One that was replaced or removed has no name any more.
        if let opened, opened.inode == inode {
            let status = try opened.descriptor.status(path)
            if status.links > 0, status.size == offset { return News(size: status.size) }
        }
        guard let status = try Files.status(path) else {
            self = EventFile(path)
            return nil
        }
        guard status.inode != inode || status.size != offset else { return News(size: status.size) }
        let file = try self.file(of: status)
        return try read(file, try file.descriptor.status(path))
    }

    /// Adds lines. Nobody else may write meanwhile.
    mutating func append(_ lines: [String]) throws(SystemError) {
        let file = try openedFile()
        inode = file.inode
        try append(lines, to: file)
    }

    private mutating func openedFile() throws(SystemError) -> OpenFile {
        if let opened { return opened }
        let file = try openFile(creating: true)
        opened = file
        return file
    }

    private mutating func file(of status: FileStatus) throws(SystemError) -> OpenFile {
        if let opened, status.isFile(of: opened) { return opened }
        let file = try openFile(creating: false)
        opened = file
        return file
    }

    /// Puts lines in the place of all that there are.
    mutating func replace(_ lines: [String]) throws(SystemError) {
        let bytes = Array(lines.map { $0 + "\n" }.joined().utf8)
        try Files.replace(path, with: bytes, mode: 0o600, durable: false)
        inode = try Files.status(path)?.inode ?? 0
        offset = Int64(bytes.count)
        isTorn = false
        opened = nil
    }

    // MARK: Both

    private func openFile(creating: Bool) throws(SystemError) -> OpenFile {
        let flags = O_RDWR | O_APPEND | O_NOFOLLOW | (creating ? O_CREAT : 0)
        return try OpenFile(FileDescriptor(path, flags, mode: 0o600, operation: "open \(path)"), path)
    }

    private mutating func read(_ file: OpenFile, _ status: FileStatus) throws(SystemError) -> News {
        var news = News(isNew: status.inode != inode || status.size < offset, size: status.size)
        if news.isNew { (inode, offset, isTorn) = (status.inode, 0, false) }
        guard status.size > offset else { return news }
        var bytes: [UInt8] = []
        while Int64(bytes.count) < status.size - offset {
            let place = offset + Int64(bytes.count)
            let count = Int(status.size - place)
            guard try file.descriptor.read(at: place, count: count, appendingTo: &bytes, from: path) > 0 else {
                throw SystemError(code: EIO, operation: "read \(path)")
            }
        }
        isTorn = bytes.last != 0x0A
        news.lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: true)
        if isTorn { news.lines.removeLast() }
        offset = status.size
        return news
    }

    private mutating func append(_ lines: [String], to file: OpenFile) throws(SystemError) {
        var text = isTorn ? "\n" : ""
        for line in lines { text += line + "\n" }
        let bytes = Array(text.utf8)
        try file.descriptor.write(bytes, to: path)
        offset += Int64(bytes.count)
        isTorn = false
    }
}
