import EnsignModel
import EnsignSystem
import Glibc

/// Which files are followed.
extension TelemetryReader {
    /// A file's first bytes, by number and hash, in a folder.
    struct Beginning: Hashable {
        var count: Int
        var hash: UInt64
        var folder: AgentID?
    }

    /// Of files that begin alike, those that were read furthest.
    private static let alike = 16

    /// Gives files that arrived a place among those that are followed, in turn of their writers.
    ///
    /// When there is no more, whoever has most places gives one up: a file that is read to its end, else one that had
    /// its turn. So nobody's files keep out another writer's, and when files outnumber places, each has its turn.
    mutating func takePlaces() {
        guard !arrivals.isEmpty else { return }
        originals = nil
        var places = Places(cursor.files, known, passes)
        var putBack: [TelemetryWalk.Found] = []
        for _ in 0..<min(arrivals.count, limits.files) {
            guard let found = arrivals.next() else { break }
            if cursor.files.count >= limits.files {
                guard let id = places.takeOne(for: found.writer) else {
                    putBack.append(found)
                    continue
                }
                rest(id)
            }
            if adopt(found) {
                places.counts[found.writer, default: 0] += 1
            } else {
                putBack.append(found)
            }
        }
        for found in putBack { arrivals.add(found) }
    }

    private struct Places {
        var counts: [TelemetryCursor.Writer: Int] = [:]
        /// Files that may give up their place, the first to do so last.
        private var spare: [TelemetryCursor.Writer: [TelemetryCursor.FileID]] = [:]

        init(
            _ files: [TelemetryCursor.FileID: TelemetryCursor.File],
            _ known: [TelemetryCursor.FileID: Known],
            _ passes: Int
        ) {
            func rank(_ id: TelemetryCursor.FileID) -> (Int, Int, UInt64) {
                let memory = known[id]
                let isWaiting = memory?.isWaiting == true
                // One that saves for a long line would save in vain.
                return (isWaiting ? memory?.need == 0 ? 1 : 2 : 0, memory?.lastTurn ?? 0, id.inode)
            }
            for (id, file) in files {
                counts[file.writer, default: 0] += 1
                let hadTurn = known[id].map { !$0.isWaiting || $0.lastTurn > 0 } ?? true
                if hadTurn, known[id]?.isGone != true { spare[file.writer, default: []].append(id) }
            }
            for writer in spare.keys { spare[writer]?.sort { rank($0) > rank($1) } }
        }

        mutating func takeOne(for writer: TelemetryCursor.Writer) -> TelemetryCursor.FileID? {
            let most = counts.max { $0.value < $1.value }
            let own = counts[writer] ?? 0
            let giver = most.map { $0.value > own ? $0.key : writer } ?? writer
            guard let id = spare[giver]?.popLast() else { return nil }
            counts[giver, default: 1] -= 1
            return id
        }
    }

    /// Lets a followed file rest, or wait where there is something new in it.
    private mutating func rest(_ id: TelemetryCursor.FileID) {
        let memory = known.removeValue(forKey: id)
        let isWaiting = memory?.isWaiting == true
        let seen = isWaiting ? nil : memory?.seen
        guard let writer = cursor.files[id]?.writer else { return }
        cursor.rest(id, seen ?? TelemetryCursor.Seen(size: -1, changed: .min))
        // The present walk has met it, or will.
        metAtRest.insert(id)
        guard isWaiting, let memory else { return }
        turns.removeAll { $0 == id }
        guard let status = try? Files.status("\(directory)/\(memory.path)"), status.id == id else { return }
        let name = memory.path.split(separator: "/").last.map(String.init) ?? memory.path
        arrivals.add(
            TelemetryWalk.Found(folder: writer.folder, name: name, status: status, folderOwner: status.owner)
        )
    }

    /// Begins to follow a file.
    ///
    /// - Returns: False while it is not certain where to begin.
    private mutating func adopt(_ found: TelemetryWalk.Found) -> Bool {
        let id = found.status.id
        var memory = Known(path: found.path)
        memory.size = found.status.size
        var file: TelemetryCursor.File
        if let rested = cursor.wake(id) {
            file = rested
            file.writer = found.writer
        } else {
            file = TelemetryCursor.File(id, found.writer)
            do throws(SystemError) {
                let handle = try open(memory.path, id)
                memory.handle = handle
                if let original = try original(of: found.status, in: found.folder, handle) {
                    // What the original says must not be read twice: it is read as far first.
                    if let followed = known[original.id], cursor.files[original.id] == original {
                        let status = try Files.status("\(directory)/\(followed.path)")
                        let isRead = followed.seen != nil && followed.seen == status?.seen && status?.id == original.id
                        if !isRead, original.offset < found.status.size {
                            if status?.id == original.id { giveTurn(to: original.id) }
                            return false
                        }
                    }
                    (file.offset, file.head, file.headCount) = (original.offset, original.head, original.headCount)
                    (file.tail, file.isInLongLine, file.isCopy) = (original.tail, original.isInLongLine, true)
                }
            } catch {
                // Its turn meets the same trouble and counts it.
            }
        }
        cursor.files[id] = file
        memory.lastWalk = walks
        known[id] = memory
        giveTurn(to: id)
        return true
    }

    func open(_ path: String, _ id: TelemetryCursor.FileID) throws(SystemError) -> Handle {
        // A FIFO in a file's place must not block the reader.
        let file = try FileDescriptor(
            "\(directory)/\(path)",
            O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
            operation: "read \(path)"
        )
        guard try file.status(path).id == id else { throw SystemError(code: ENOENT, operation: "read \(path)") }
        return Handle(file)
    }

    // MARK: - Copies

    /// The original of a copy: `copytruncate` copies a log before it cuts it, in the same folder.
    private mutating func original(
        of status: FileStatus,
        in folder: AgentID?,
        _ handle: Handle
    ) throws(SystemError) -> TelemetryCursor.File? {
        var bytes: [UInt8] = []
        _ = try handle.file.read(
            at: 0,
            count: TelemetryCursor.File.headLimit,
            appendingTo: &bytes,
            from: directory
        )
        var hash = StableHash()
        var hashed = 0
        var candidates: [TelemetryCursor.File] = []
        for count in 0...bytes.count where headCounts[count] {
            hash.add(bytes[hashed..<count])
            hashed = count
            let index = originals ?? indexOriginals()
            originals = index
            candidates += index[Beginning(count: count, hash: hash.value, folder: folder)] ?? []
        }
        for file in candidates.sorted(by: { $0.offset > $1.offset }).prefix(Self.alike) {
            var copy = file
            copy.isCopy = true
            if try isSame(copy, status, handle) { return file }
        }
        return nil
    }

    private func indexOriginals() -> [Beginning: [TelemetryCursor.File]] {
        var index: [Beginning: [TelemetryCursor.File]] = [:]
        for files in [
            AnySequence(cursor.files.values), AnySequence(cursor.resting.values), AnySequence(cursor.retired),
        ] {
            for file in files where file.headCount > 0 {
                let beginning = Beginning(count: file.headCount, hash: file.head, folder: file.writer.folder)
                index[beginning, default: []].append(file)
                // Ten thousand equal files are compared with a few.
                guard let count = index[beginning]?.count, count >= 2 * Self.alike else { continue }
                index[beginning]?.sort { $0.offset > $1.offset }
                index[beginning]?.removeLast(count - Self.alike)
            }
        }
        return index
    }

    /// Whether a file still begins with what was read, up to the offset.
    func isSame(
        _ file: TelemetryCursor.File,
        _ status: FileStatus,
        _ handle: Handle
    ) throws(SystemError) -> Bool {
        if file.offset == 0 { return true }
        if status.size < file.offset { return file.isCopy }
        let count = min(Int64(TelemetryCursor.File.tailLimit), file.offset)
        var bytes: [UInt8] = []
        _ = try handle.file.read(at: file.offset - count, count: Int(count), appendingTo: &bytes, from: directory)
        return StableHash.of(bytes) == file.tail
    }

    mutating func fingerprint(
        _ file: inout TelemetryCursor.File,
        _ handle: Handle,
        _ path: String
    ) throws(SystemError) {
        var bytes: [UInt8] = []
        if file.headCount < TelemetryCursor.File.headLimit {
            let count = min(Int64(TelemetryCursor.File.headLimit), file.offset)
            _ = try handle.file.read(at: 0, count: Int(count), appendingTo: &bytes, from: path)
            file.headCount = bytes.count
            headCounts[file.headCount] = file.headCount > 0
            file.head = StableHash.of(bytes)
            bytes = []
        }
        let count = min(Int64(TelemetryCursor.File.tailLimit), file.offset)
        _ = try handle.file.read(at: file.offset - count, count: Int(count), appendingTo: &bytes, from: path)
        file.tail = StableHash.of(bytes)
        file.isCopy = false
    }
}
