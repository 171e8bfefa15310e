import EnsignModel
import EnsignSystem
import Glibc

/// The files of a decision log.
///
/// ```
/// 2026-11-29.jsonl  2026-11-28.jsonl.gz     decisions of a day, by UTC
/// heads.jsonl                               signed heads
/// newest                                    the name of the newest file; its lock is the log's
/// writers/                                  who writes now; a file whose lock is free belongs to a process that died
/// ```
package struct LogFolder: Sendable, Hashable {
    package let path: String

    package init(_ path: String) { self.path = path }

    /// A line's place.
    struct Place: Sendable, Hashable {
        var name: String
        var offset: Int64
    }

    // MARK: Files of days

    /// The days' files, compressed or not, oldest first.
    package func names() throws(RecordFailure) -> [String] {
        let all = Set(try recording { try Files.list(path) } ?? [])
        return all.filter { name in
            guard CalendarDate(name.prefix(10)) != nil else { return false }
            switch name.dropFirst(10) {
            case ".jsonl": return true
            // Compressed, and not yet removed: the same lines twice.
            case ".jsonl.gz": return !all.contains(String(name.dropLast(3)))
            default: return false
            }
        }.sorted()
    }

    /// The last whole line of a file that is not compressed, and the offset of its end; nil and 0 when there is none.
    func lastLine(of name: String) throws(RecordFailure) -> (LogLine?, end: Int64) {
        let file = "\(path)/\(name)"
        return try recording { () -> (LogLine?, end: Int64) in
            let opened = try FileDescriptor(file, O_RDONLY | O_NOFOLLOW, operation: "read \(file)")
            let size = try opened.status(file).size
            // Two lines of the greatest length: the last one, and one that is not whole.
            let start = max(0, size - Int64(2 * LogLine.mostBytes + 2))
            let bytes = try opened.read(from: start, count: Int(size - start), file)
            let last = bytes.lastIndex(of: 0x0A)
            // What has no end was cut off by a power failure, and is never longer than a line.
            guard bytes.count - (last.map { $0 + 1 } ?? 0) <= LogLine.mostBytes else {
                throw damaged(file, before: size + 1)
            }
            guard let last else { return (nil, 0) }
            let begin = bytes[..<last].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
            guard let line = LogLine(Array(bytes[begin..<last])) else {
                throw damaged(file, before: start + Int64(last))
            }
            return (line, start + Int64(last) + 1)
        }
    }

    /// A file whose last line nobody can write behind.
    private func damaged(_ file: String, before end: Int64) -> RecordFailure {
        // Only for the message: where it cannot be counted, it is left out.
        var number: Int64 = 1
        var offset: Int64 = 0
        if let reader = try? Compressed.Reader(file) {
            while offset < end, let chunk = try? reader.next(), !chunk.isEmpty {
                number += Int64(chunk.prefix(Int(min(end - offset, Int64(chunk.count)))).count { $0 == 0x0A })
                offset += Int64(chunk.count)
            }
        }
        return RecordFailure(
            "\(file):\(number): the last line is not as the gateway writes lines, and nothing is written behind it: "
                + "it was changed, or the disk is damaged. \(wayOut)"
        )
    }

    /// What an operator does about a log that cannot go on.
    var wayOut: String {
        "'ensign-gateway verify --config FILE' names all that is wrong. To go on, stop the gateway and move \(path) away as it "
            + "is: it is the evidence. At its next start a new log begins there, with number 1"
    }

    /// The file that the next line goes to, unless a new day has begun; nil before the first.
    ///
    /// - Parameter named: What `newest` says.
    /// - Throws: ``RecordFailure`` where that is not the newest file: behind another one the chain would have two ends.
    func newest(_ named: String?) throws(RecordFailure) -> String? {
        let names = try names()
        guard let named else { return names.last { $0.hasSuffix(".jsonl") } }
        guard !names.isEmpty else { return named }
        // A file of a day that has begun may be there already, empty: then the process died before it could name it.
        var later: String?
        for name in names where name > named {
            if try recording({ try Files.status("\(path)/\(name)")?.size ?? 0 }) > 0 { later = name }
        }
        guard later == nil, names.contains(named) else {
            throw RecordFailure(
                "\(path)/newest names \(named), and the newest file is \(later ?? names.last ?? ""): it was edited, or files were "
                    + "taken away. 'ensign-gateway verify --config FILE' names what is wrong. To go on with the newest "
                    + "file, remove \(path)/newest"
            )
        }
        return named
    }

    /// The last line before a file.
    func lastLine(before name: String) throws(RecordFailure) -> LogLine? {
        for earlier in try names().reversed() where earlier < name {
            var last: LogLine?
            try LogReader.lines(of: "\(path)/\(earlier)") { bytes, _ in
                last = LogLine(bytes) ?? last
                return true
            }
            if let last { return last }
        }
        return nil
    }

    /// Compresses the files before a day, and removes old ones.
    ///
    /// - Parameter keep: Days; nil keeps all.
    func tidy(before day: String, keep: Int64?, _ today: CalendarDate) throws(RecordFailure) {
        let old = Set(try old(before: day, keep: keep, today))
        for name in try names() where name.prefix(10) < day {
            let file = "\(path)/\(name)"
            if old.contains(name) {
                try recording { try Files.remove(file) }
            } else if name.hasSuffix(".jsonl") {
                try Compressed.compress(file, to: "\(file).gz")
                try recording { try Files.remove(file) }
            }
        }
    }

    /// The files before a day that are to be removed by their age, oldest first: no file between them stays.
    func old(before day: String, keep: Int64?, _ today: CalendarDate) throws(RecordFailure) -> [String] {
        guard let keep else { return [] }
        let names = try names()
        let present = Self.present(names.compactMap { CalendarDate($0.prefix(10))?.daysSince1970 }, today.daysSince1970)
        return names.filter { name in
            guard name.prefix(10) < day, let date = CalendarDate(name.prefix(10)) else { return false }
            return present - date.daysSince1970 > keep
        }
    }

    /// The number of the first line in the files after one; nil where there is none.
    func firstNumber(after name: String) throws(RecordFailure) -> Int64? {
        for later in try names() where later > name {
            var first: Int64?
            try LogReader.lines(of: "\(path)/\(later)") { bytes, _ in
                first = LogLine(bytes)?.sequence
                return first == nil
            }
            if let first { return first }
        }
        return nil
    }

    /// The day from which ages are counted: today, unless that is more than a month after all that is there. A clock that is
    /// ahead for a day must not remove what cannot be made again; where time has really passed, the next day says so.
    static func present(_ days: [Int64], _ today: Int64) -> Int64 {
        let last = Set(days + [today]).sorted().suffix(2)
        guard let newest = last.last, let before = last.first, newest - before > 31 else { return today }
        return min(today, before)
    }

    // MARK: Heads

    func append(_ head: LogHead) throws(RecordFailure) {
        let file = "\(path)/heads.jsonl"
        try recording {
            let opened = try FileDescriptor(
                file,
                O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
                mode: 0o600,
                operation: "write \(file)"
            )
            let size = try opened.status(file).size
            do throws(SystemError) {
                try opened.write(head.json.canonicalBytes() + [0x0A], to: file)
            } catch {
                _ = ftruncate(opened.number, off_t(size))
                throw error
            }
        }
    }

    func lastHead() throws(RecordFailure) -> LogHead? {
        let file = "\(path)/heads.jsonl"
        return try recording { () -> LogHead? in
            guard let size = try Files.status(file)?.size else { return nil }
            let opened = try FileDescriptor(file, O_RDONLY | O_NOFOLLOW, operation: "read \(file)")
            let start = max(0, size - 16_384)
            let bytes = try opened.read(from: start, count: Int(size - start), file)
            return bytes.split(separator: 0x0A).reversed().lazy.compactMap { LogHead(Array($0)) }.first
        }
    }

    // MARK: The lock

    /// What the file `newest` says.
    enum Newest: Hashable, Sendable {
        /// Nothing: there was no line yet, or the machine lost power before its bytes were on the disk.
        case none
        case name(String)
        case garbage
    }

    static func name(ofNewest bytes: [UInt8]) -> Newest {
        guard bytes.contains(where: { $0 != 0 }) else { return .none }
        let name = String(decoding: bytes, as: UTF8.self)
        return bytes.count == 16 && name.hasSuffix(".jsonl") && CalendarDate(name.prefix(10)) != nil
            ? .name(name) : .garbage
    }

    /// The log's lock, held until it goes out of scope.
    struct Lock: ~Copyable {
        private let file: OpenFile
        private let path: String

        init(_ file: OpenFile, _ path: String) throws(SystemError) {
            try file.lock(path)
            (self.file, self.path) = (file, path)
        }

        deinit { flock(file.descriptor.number, LOCK_UN) }

        /// The name of the newest file; nil before the first.
        ///
        /// - Parameter known: What it was before.
        func newest(_ known: String?) throws(RecordFailure) -> String? {
            var bytes: [UInt8] = []
            // It is never longer: a second look would find its end only.
            _ = try recording { try file.descriptor.read(at: 0, count: 64, appendingTo: &bytes, from: path) }
            if let known, bytes.elementsEqual(known.utf8) { return known }
            switch LogFolder.name(ofNewest: bytes) {
            case .none: return nil
            case .name(let name): return name
            case .garbage:
                throw RecordFailure(
                    "\(path) names no file of a day, but \(String(decoding: bytes, as: UTF8.self).quoted(utf8: 64)): it was "
                        + "edited, or the disk is damaged. To go on with the newest file, remove \(path)"
                )
            }
        }
    }

    /// - Parameter file: The file of the lock, kept open between its uses; opened where it is not, or is gone.
    func lock(_ file: inout OpenFile?) throws(RecordFailure) -> Lock {
        let path = "\(path)/newest"
        return try recording { () -> Lock in
            while true {
                let opened =
                    try file
                    ?? OpenFile(
                        FileDescriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, operation: "lock \(path)"),
                        path
                    )
                file = opened
                let lock = try Lock(opened, path)
                // A file without a name is nobody else's lock.
                if try opened.descriptor.status(path).links > 0 { return lock }
                file = nil
            }
        }
    }

    /// Names the newest file; only under the lock. In its place: another file would be another lock.
    func setNewest(_ name: String) throws(RecordFailure) {
        let file = "\(path)/newest"
        try recording {
            let opened = try FileDescriptor(file, O_WRONLY | O_NOFOLLOW, operation: "write \(file)")
            try opened.write(Array(name.utf8), at: 0, to: file)
        }
    }

    // MARK: Writers

    /// Writes a file for a process, and locks it for as long as the process lives. Only under the log's lock.
    func join(_ writer: String, at place: Place) throws(RecordFailure) -> FileDescriptor {
        let folder = "\(path)/writers"
        return try recording { () -> FileDescriptor in
            try Files.makeDirectories(folder, mode: 0o700)
            let file = "\(folder)/\(writer)"
            let opened = try FileDescriptor(
                file,
                O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW,
                mode: 0o600,
                operation: "write \(file)"
            )
            guard flock(opened.number, LOCK_EX | LOCK_NB) == 0 else {
                throw SystemError(code: errno, operation: "lock \(file)")
            }
            try opened.write(Self.bytes(place), at: 0, to: file)
            return opened
        }
    }

    func write(_ place: Place, to file: borrowing FileDescriptor) throws(RecordFailure) {
        do throws(SystemError) { try file.write(Self.bytes(place), at: 0, to: path) } catch {
            throw RecordFailure(error.description)
        }
    }

    /// Always as long, so that it is written over in one piece.
    private static func bytes(_ place: Place) -> [UInt8] {
        let digits = String(place.offset)
        let name = place.name.isEmpty ? String(repeating: "-", count: 16) : place.name
        return Array("\(name) \(String(repeating: "0", count: 19 - digits.count))\(digits)\n".utf8)
    }

    private static func place(_ bytes: [UInt8]) -> Place {
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard words.count == 2, words[0].hasSuffix(".jsonl"), let offset = Int64(words[1].dropLast()) else {
            return Place(name: "", offset: 0)
        }
        return Place(name: String(words[0]), offset: offset)
    }

    /// Those who can write no more. Only under the log's lock.
    func deadWriters() throws(RecordFailure) -> [String] {
        let folder = "\(path)/writers"
        return try recording { () -> [String] in
            try (Files.list(folder) ?? []).filter { name in
                try FileLock.isHeld("\(folder)/\(name)") == false
            }
        }
    }

    func forget(_ writer: String) throws(RecordFailure) {
        try recording { try Files.remove("\(path)/writers/\(writer)") }
    }

    /// The intents of a writer that have no outcome.
    func openIntents(of writer: String) throws(RecordFailure) -> [JSONValue] {
        let bytes = try recording {
            try Files.readOwn("\(path)/writers/\(writer)", limit: 1_024)
        }
        let from = Self.place(bytes ?? [])
        var open: [Int64: JSONValue] = [:]
        for name in try names() where name >= from.name {
            let begin = name == from.name ? from.offset : 0
            try LogReader.lines(of: "\(path)/\(name)", from: begin) { bytes, _ in
                guard let line = LogLine(bytes) else { return true }
                switch line.json["kind"]?.string {
                case "intent" where line.json["writer"]?.string == writer: open[line.sequence] = line.json
                // Whoever wrote it: somebody who took over may have died as well.
                case "outcome": if let intent = line.json["intent"]?.int { open[intent] = nil }
                default: break
                }
                return true
            }
        }
        return open.sorted { $0.key < $1.key }.map(\.value)
    }
}

extension FileDescriptor {
    /// A part of the file, or what there is of it.
    fileprivate func read(from offset: Int64, count: Int, _ name: String) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = try read(
                at: offset + Int64(bytes.count),
                count: count - bytes.count,
                appendingTo: &bytes,
                from: name
            )
            if more == 0 { break }
        }
        return bytes
    }
}
