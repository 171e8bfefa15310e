import EnsignCrypto
package import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignSystem
import Glibc

/// `<git dir>/ensign/halts/<env>`: stops that the ledger does not have yet (docs/formats/halts.md).
///
/// Its room on the disk is taken long before it is needed, so that a halt can be remembered when nothing else can be
/// written. Records have a fixed size and are written in place, under a lock of the file's own that nobody holds for
/// longer than a few writes. The first record's place holds a counter, by which publishers see that something was added,
/// and why the ledger could not be written.
package struct HaltsFile: Sendable {
    package let path: String

    package init(path: String) {
        self.path = path
    }

    /// Places for records that a file has at first, with the one that holds the counter: 256 KiB.
    static let places = 256
    /// A larger file is not Ensign's.
    private static let maxPlaces = 65_536
    private static let timeout = Duration.seconds(5)

    /// What the file says.
    package struct Contents: Sendable {
        /// In the order of their times.
        package var pending: [HaltRecord] = []
        /// Records that cannot be read; they hide no others.
        package var damaged = 0
        /// Records of a newer version.
        package var unknown = 0
        /// Why the ledger could not be written when it was last tried; nil when it was not tried, or was written.
        package var failure: String?

        package init() {}
    }

    // MARK: Room

    /// Makes the file, or takes the room that it lacks.
    ///
    /// - Throws: ``SystemError`` with `ENOSPC` when there is none.
    package func prepare() throws {
        if let status = try Files.status(path), status.kind == .file, status.size >= Self.places * HaltRecord.size {
            return
        }
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try open(writing: true, creating: true) { file in
            try file.locked(exclusively: true, timeout: Self.timeout, path) { try refill(file, Self.places) }
        }
    }

    /// Takes room for so many places; what is there stays.
    private func refill(_ file: borrowing FileDescriptor, _ places: Int) throws {
        let size = try file.status(path).size
        // A part of a record at the end was never acknowledged.
        let start = size / Int64(HaltRecord.size) * Int64(HaltRecord.size)
        let end = Int64(places * HaltRecord.size)
        guard start < end else { return }
        try file.allocate(from: start, count: end - start, path)
        // Written, not only reserved: turning reserved room into data takes room of its own.
        try file.write([UInt8](repeating: 0, count: Int(end - start)), at: start, to: path)
        try file.sync(path)
        if let folder = Files.parent(of: path) { try Files.syncDirectory(folder) }
    }

    private func open<Value>(
        writing: Bool,
        creating: Bool = false,
        _ body: (borrowing FileDescriptor) throws -> Value
    ) throws -> Value {
        // Without O_CREAT where the file is there: a full disk must not even be asked.
        let flags = (writing ? O_RDWR : O_RDONLY) | (creating ? O_CREAT : 0) | O_NOFOLLOW | O_NONBLOCK
        let file = try FileDescriptor(path, flags, operation: "open \(path)")
        guard try file.status(path).kind == .file else {
            throw SystemError(code: EINVAL, operation: "use \(path), which is not a plain file")
        }
        return try body(file)
    }

    // MARK: Reading

    /// What is pending; nothing when there is no file.
    package func read() throws -> Contents {
        guard try Files.status(path) != nil else { return Contents() }
        return try open(writing: false) { file in
            try file.locked(exclusively: false, timeout: Self.timeout, path) { try contents(of: file) }
        }
    }

    /// All records that have not been written over since: those that the ledger has, too.
    package func remembered() throws -> [HaltRecord] {
        guard try Files.status(path) != nil else { return [] }
        return try open(writing: false) { file in
            try file.locked(exclusively: false, timeout: Self.timeout, path) {
                let bytes = try places(file)
                return (1..<max(1, bytes.count / HaltRecord.size)).compactMap { index in
                    HaltRecord(remembered: bytes[index * HaltRecord.size..<(index + 1) * HaltRecord.size])
                }
            }
        }
    }

    /// Each run reads it several times, and nearly all of it is free: a part at a time.
    func contents(of file: borrowing FileDescriptor) throws -> Contents {
        var contents = Contents()
        let size = try size(file)
        for start in stride(from: 0, to: size, by: Self.part) {
            var bytes: [UInt8] = []
            try read(file, from: start, to: min(start + Self.part, size), into: &bytes)
            contents.add(bytes, isFirst: start == 0)
        }
        return contents.inOrder
    }

    /// In bytes, of 16 places.
    private static let part = 16 * HaltRecord.size

    private func size(_ file: borrowing FileDescriptor) throws -> Int {
        min(Int(try file.status(path).size), Self.maxPlaces * HaltRecord.size)
    }

    func places(_ file: borrowing FileDescriptor) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try read(file, from: 0, to: size(file), into: &bytes)
        return bytes
    }

    /// Appends the file's bytes from one place to another, or fewer where it ends.
    private func read(
        _ file: borrowing FileDescriptor,
        from start: Int,
        to end: Int,
        into bytes: inout [UInt8]
    ) throws {
        while bytes.count < end - start {
            let place = start + bytes.count
            if try file.read(at: Int64(place), count: end - place, appendingTo: &bytes, from: path) == 0 { break }
        }
    }

    /// - Parameter first: Of the places that are looked at; the file's own first place is none.
    fileprivate static func slots(_ bytes: [UInt8], from first: Int = 1) -> [(index: Int, slot: HaltRecord.Slot)] {
        (first..<max(first, bytes.count / HaltRecord.size)).map { index in
            let start = index * HaltRecord.size
            return (index, HaltRecord.Slot(bytes[start..<start + HaltRecord.size]))
        }
    }

    // MARK: Writing

    /// Adds records, durably. Needs no room beyond what the file has while a place is free.
    package func append(_ records: [HaltRecord]) throws {
        guard !records.isEmpty else { return }
        if try Files.status(path) == nil { try prepare() }
        try open(writing: true) { file in
            try file.locked(exclusively: true, timeout: Self.timeout, path) {
                var bytes = try places(file)
                var free = Self.free(bytes)
                if free.count < records.count {
                    let wanted = max(Self.places, bytes.count / HaltRecord.size + records.count - free.count)
                    try refill(file, (wanted + Self.places - 1) / Self.places * Self.places)
                    bytes = try places(file)
                    free = Self.free(bytes)
                }
                guard free.count >= records.count else {
                    throw SystemError(code: ENOSPC, operation: "find a free place in \(path)")
                }
                for (record, index) in zip(records, free) {
                    try file.write(record.slot, at: Int64(index * HaltRecord.size), to: path)
                }
                try change(file, bytes) { _ in }
                try file.syncData(path)
            }
        }
    }

    /// Places that may be written: those never used first, then those whose record the ledger has.
    private static func free(_ bytes: [UInt8]) -> [Int] {
        var (free, done): ([Int], [Int]) = ([], [])
        for (index, slot) in slots(bytes) {
            switch slot {
            case .free: free.append(index)
            case .done: done.append(index)
            case .pending, .damaged, .unknown: continue
            }
        }
        return free + done
    }

    /// Marks records that the ledger has, and forgets why it could not be written.
    package func finish(_ ids: Set<UInt64>) throws {
        guard try Files.status(path) != nil else { return }
        try open(writing: true) { file in
            try file.locked(exclusively: true, timeout: Self.timeout, path) {
                let bytes = try places(file)
                for (index, slot) in Self.slots(bytes) {
                    guard case .pending(let record) = slot, ids.contains(record.id) else { continue }
                    try file.write([HaltRecord.doneMark], at: Int64(index * HaltRecord.size), to: path)
                }
                try change(file, bytes) { $0.failure = nil }
                try file.syncData(path)
            }
        }
    }

    /// Remembers why the ledger could not be written.
    package func note(_ failure: String) throws {
        // Opening a file for writing is a change to whoever watches its folder.
        let failure = Counter.written(failure)
        guard try read().failure != failure else { return }
        try open(writing: true) { file in
            try file.locked(exclusively: true, timeout: Self.timeout, path) {
                let bytes = try places(file)
                guard bytes.count >= HaltRecord.size else { return }
                try change(file, bytes) { $0.failure = failure }
            }
        }
    }

    /// Moves records that cannot be read to `<file>.damaged`, so that each is reported once.
    ///
    /// - Returns: How many.
    package func setDamagedAside() throws -> Int {
        try open(writing: true) { file in
            try file.locked(exclusively: true, timeout: Self.timeout, path) {
                let bytes = try places(file)
                var damaged: [Int] = []
                for (index, slot) in Self.slots(bytes) {
                    if case .damaged = slot { damaged.append(index) }
                }
                guard !damaged.isEmpty else { return 0 }
                let aside = try FileDescriptor(
                    path + ".damaged",
                    O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
                    operation: "write \(path).damaged"
                )
                for index in damaged {
                    let start = index * HaltRecord.size
                    try aside.write(Array(bytes[start..<start + HaltRecord.size]), to: path + ".damaged")
                }
                try aside.sync(path + ".damaged")
                for index in damaged {
                    let zeros = [UInt8](repeating: 0, count: HaltRecord.size)
                    try file.write(zeros, at: Int64(index * HaltRecord.size), to: path)
                }
                return damaged.count
            }
        }
    }

    /// Increments the counter after `body` has changed what else is there, so that publishers look again.
    private func change(
        _ file: borrowing FileDescriptor,
        _ bytes: [UInt8],
        _ body: (inout Counter) -> Void
    ) throws {
        var counter = Counter(bytes)
        counter.count &+= 1
        body(&counter)
        try file.write(counter.slot, at: 0, to: path)
    }

    /// What is in the place of the first record.
    struct Counter {
        var count: UInt64
        var failure: String?

        private static let textLimit = HaltRecord.size - 35

        init(_ bytes: [UInt8]) {
            let text = String(decoding: bytes.prefix(16), as: UTF8.self)
            count = UInt64(text, radix: 16) ?? 0
            guard bytes.count >= HaltRecord.size else { return }
            let note = bytes[34..<HaltRecord.size - 1]
            guard SHA256.hex(of: Array(note)).utf8.prefix(16).elementsEqual(bytes[17..<33]) else { return }
            let end = note.lastIndex { $0 != 0x20 } ?? note.startIndex - 1
            let written = note[note.startIndex...].prefix(end - note.startIndex + 1)
            failure = written.isEmpty ? nil : String(decoding: written, as: UTF8.self)
        }

        /// A failure as it is written: on one line, cut to what fits.
        static func written(_ failure: String) -> String {
            failure.replacing("\n", with: " ").cut(utf8: textLimit)
        }

        var slot: [UInt8] {
            let digits = String(count, radix: 16)
            let note = Self.written(failure ?? "").utf8.prefix(Self.textLimit)
            let text = Array(note) + [UInt8](repeating: 0x20, count: Self.textLimit - note.count)
            return Array((String(repeating: "0", count: 16 - digits.count) + digits + " ").utf8)
                + Array(SHA256.hex(of: text).utf8.prefix(16)) + [0x20] + text + [0x0A]
        }
    }
}

extension Site {
    /// Stops of an environment that are in effect and not on record yet; none where this clone does not reconcile.
    package func pendingHalts(_ environment: String) throws -> [HaltRecord] {
        guard reconciles else { return [] }
        return try HaltsFile(path: files.halts(environment)).read().pending.filter { $0.kind == .halt }
    }
}

extension HaltsFile.Contents {
    /// Takes up a part of the file.
    fileprivate mutating func add(_ bytes: [UInt8], isFirst: Bool) {
        for (_, slot) in HaltsFile.slots(bytes, from: isFirst ? 1 : 0) {
            switch slot {
            case .free, .done: continue
            case .pending(let record): pending.append(record)
            case .damaged: damaged += 1
            case .unknown: unknown += 1
            }
        }
        if isFirst { failure = HaltsFile.Counter(bytes).failure }
    }

    fileprivate var inOrder: Self {
        var contents = self
        contents.pending.sort { ($0.time, $0.id) < ($1.time, $1.id) }
        return contents
    }
}
