import EnsignModel
package import EnsignSystem
import Glibc

/// What was new in a directory of telemetry.
package struct TelemetryBatch: Sendable {
    /// In the order of their files and lines.
    package var events: [TelemetryEvent] = []
    package var rejections = Rejections()
    /// How far was read: written by the caller together with what became of the events.
    package var cursor = TelemetryCursor()
    /// Bytes that were read.
    package var bytes = 0
    package var lines = 0
    /// False when the limit was reached: reading again at once gives more.
    package var isComplete = true
    /// Files that found no place among those that are followed; nil when not all were looked at.
    package var unreadFiles: Int?

    package init() {}
}

/// Reads a directory of OTLP/JSON files as they grow, rotate and are cut (docs/telemetry.md, "Files").
///
/// For one thread. It holds at most ``Limits/handles`` files open, so that the end of a file is read even after it was
/// removed; everything else that it remembers beside the cursor only saves work.
package struct TelemetryReader: ~Copyable {
    package struct Limits: Sendable {
        /// Bytes of a line. A collector's batch of 8,192 spans has some 8 MB.
        package var line = 16 << 20
        /// Files that are followed.
        package var files = 1_000
        /// Files that are held open.
        package var handles = 64
        /// Bytes read at once.
        package var chunk = 1 << 18

        package init() {}
    }

    package let directory: String
    package private(set) var cursor: TelemetryCursor
    private let limits: Limits
    private var known: [TelemetryCursor.FileID: Known] = [:]
    private var passes = 0
    private var unread = 0
    /// Of which lengths there are hashes of files' beginnings, so that looking for an original costs one pass.
    private var headCounts = [Bool](repeating: false, count: TelemetryCursor.File.headLimit + 1)

    /// What is remembered of a file while this process lives.
    private struct Known {
        var path: String
        var size: Int64 = -1
        var modified: Int64 = -1
        /// No newline stands between the cursor's offset and here.
        var scanned: Int64 = 0
        /// Where a last line without a newline ended that was tried in vain.
        var tried: Int64 = -1
        var handle: Handle?
        var lastUse = 0
        var isUnreadable = false
    }

    private final class Handle {
        let file: FileDescriptor
        init(_ file: consuming FileDescriptor) { self.file = file }
    }

    /// - Parameters:
    ///   - directory: It may not exist yet.
    ///   - cursor: How far an earlier reader came.
    package init(directory: String, cursor: TelemetryCursor = TelemetryCursor(), limits: Limits = Limits()) {
        self.directory = directory
        self.cursor = cursor
        self.limits = limits
        for file in Array(cursor.files.values) + Array(cursor.resting.values) + cursor.retired where file.headCount > 0
        {
            headCounts[file.headCount] = true
        }
    }

    /// The folders whose changes mean new data: watch them with inotify and hand over the names.
    ///
    /// While the directory does not exist, the nearest folder above it that does.
    package var foldersToWatch: [String] {
        var folder = directory
        while (try? Files.status(folder)) == nil, let parent = Files.parent(of: folder), parent != folder {
            folder = parent
        }
        return [folder]
    }

    // MARK: - Reading

    /// Reads what is new.
    ///
    /// - Parameters:
    ///   - changed: The names that inotify reported; nil looks at every file, which also finds removed ones. Use nil
    ///     first, after an incomplete batch, and now and then.
    ///   - limit: Bytes to read before giving back what there is; a line that has begun is read to its end.
    /// - Throws: ``SystemError`` if the directory cannot be listed. A file that cannot be read is a rejection.
    package mutating func read(
        changed: Set<String>? = nil,
        limit: Int = 8 << 20
    ) throws(SystemError) -> TelemetryBatch {
        var batch = TelemetryBatch()
        passes += 1
        var rotated: [(path: String, status: FileStatus)] = []
        var fresh: [(path: String, status: FileStatus)] = []
        var present: Set<TelemetryCursor.FileID> = []
        let names = if let changed { changed.sorted() } else { try Files.list(directory) ?? [] }
        for name in names where !name.hasPrefix(".") && !name.contains("/") {
            let path = "\(directory)/\(name)"
            let found: FileStatus?
            do throws(SystemError) { found = try Files.status(path) } catch { continue }
            guard let status = found, status.kind == .file else { continue }
            guard present.insert(status.id).inserted else { continue }
            if cursor.files[status.id] != nil {
                rotated.append((path, status))
            } else if let file = cursor.resting[status.id] {
                let isAtRest = file.offset == status.size && file.modified == status.modified
                if !isAtRest { fresh.append((path, status)) }
            } else if TelemetryFileName.isTelemetry(name) {
                fresh.append((path, status))
            }
        }
        let byAge = { (left: (path: String, status: FileStatus), right: (path: String, status: FileStatus)) in
            (left.status.modified, left.path) < (right.status.modified, right.path)
        }
        for (path, status) in rotated.sorted(by: byAge) { follow(path, status, limit, &batch) }
        if changed == nil { finishRemoved(present, limit, &batch) }
        // Only now is it known how far the files were read that new ones may be copies of.
        var left = 0
        for (path, status) in fresh.sorted(by: byAge) {
            guard batch.bytes < limit else {
                batch.isComplete = false
                break
            }
            if cursor.resting[status.id] == nil, status.modified <= cursor.horizon {
                left += 1
                continue
            }
            if cursor.files.count >= limits.files {
                // An empty one needs no place before there is something in it.
                if status.size == 0 { continue }
                guard makePlace(for: status) else {
                    left += 1
                    continue
                }
            }
            guard adopt(path, status, limit, &batch) else { continue }
            follow(path, status, limit, &batch)
        }
        if changed == nil, batch.isComplete {
            // Counted once, however often it is looked at.
            batch.rejections.add(.tooManyFiles, Int64(max(0, left - unread)))
            (unread, batch.unreadFiles) = (left, left)
        }
        closeSpareHandles()
        batch.cursor = cursor
        return batch
    }

    /// Reads one file that the cursor has.
    private mutating func follow(_ path: String, _ status: FileStatus, _ limit: Int, _ batch: inout TelemetryBatch) {
        var memory = known[status.id] ?? Known(path: path)
        memory.path = path
        memory.lastUse = passes
        defer { known[status.id] = memory }
        guard var file = cursor.files[status.id] else { return }
        let isQuiet = memory.size == status.size && memory.modified == status.modified
        if isQuiet, status.size == file.offset { return }
        guard batch.bytes < limit else {
            batch.isComplete = false
            return
        }
        do throws(SystemError) {
            let handle = if let open = memory.handle { open } else { try Self.open(path, status.id) }
            memory.handle = handle
            if try !isSame(file, status, handle) {
                // Cut and written again, or another file with the number of an old one.
                if memory.size > file.offset { batch.rejections.add(.malformedLine) }
                cursor.retire(file)
                file = TelemetryCursor.File(status.id)
                (memory.scanned, memory.tried) = (0, -1)
                if let name = path.split(separator: "/").last, !TelemetryFileName.isTelemetry(String(name)) {
                    cursor.files[status.id] = nil
                    return
                }
            }
            let before = file.offset
            let atEnd = try readLines(&file, &memory, handle, status, isQuiet: isQuiet, limit, &batch)
            if file.offset != before { try fingerprint(&file, handle, path) }
            memory.size = atEnd ? max(status.size, memory.scanned, file.offset) : -1
            memory.modified = status.modified
            memory.isUnreadable = false
        } catch {
            memory.handle = nil
            if !memory.isUnreadable, !error.isMissing { batch.rejections.add(.unreadableFile) }
            memory.isUnreadable = true
        }
        cursor.files[status.id] = file
    }

    private static func open(_ path: String, _ id: TelemetryCursor.FileID) throws(SystemError) -> Handle {
        // A FIFO in a file's place must not block the reader.
        let file = try FileDescriptor(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, operation: "read \(path)")
        guard try file.status(path).id == id else { throw SystemError(code: ENOENT, operation: "read \(path)") }
        return Handle(file)
    }

    /// Whether a file still begins with what was read, up to the offset.
    private func isSame(
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

    private mutating func fingerprint(
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

    /// Reads whole lines.
    ///
    /// - Returns: Whether the end of the file was reached.
    private func readLines(
        _ file: inout TelemetryCursor.File,
        _ memory: inout Known,
        _ handle: Handle,
        _ status: FileStatus,
        isQuiet: Bool,
        _ limit: Int,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) -> Bool {
        var buffer: [UInt8] = []
        // Where the buffer begins, and how much of it has no newline.
        var start = file.offset
        var searched = 0
        if memory.scanned > file.offset {
            // A line that was not finished when it was last looked at is read again only once it is.
            guard try hasNewline(&memory, handle, &batch) else {
                return try finishUnterminated(&file, &memory, handle, isQuiet: isQuiet, &batch)
            }
        }
        while true {
            let place = start + Int64(buffer.count)
            let count = try handle.file.read(
                at: place,
                count: Int(min(Int64(limits.chunk), max(4_096, status.size - place + 1))),
                appendingTo: &buffer,
                from: memory.path
            )
            batch.bytes += count
            if count == 0 { break }
            let done = consume(&buffer, &searched, &file, &batch)
            start += Int64(done)
            file.offset = start
            memory.scanned = start + Int64(buffer.count)
            if batch.bytes >= limit, buffer.isEmpty || done > 0 {
                batch.isComplete = false
                return false
            }
        }
        memory.scanned = start + Int64(buffer.count)
        return try finishUnterminated(&file, &memory, handle, isQuiet: isQuiet, &batch)
    }

    /// Reads the lines of a buffer and leaves the rest in it.
    ///
    /// - Returns: How many bytes are done with.
    private func consume(
        _ buffer: inout [UInt8],
        _ searched: inout Int,
        _ file: inout TelemetryCursor.File,
        _ batch: inout TelemetryBatch
    ) -> Int {
        var done = 0
        unsafe buffer.withUnsafeBytes { bytes in
            while let base = bytes.baseAddress, searched < bytes.count {
                guard let found = unsafe memchr(base + searched, 0x0A, bytes.count - searched) else {
                    searched = bytes.count
                    break
                }
                let newline = unsafe found - UnsafeMutableRawPointer(mutating: base)
                if file.isInLongLine {
                    file.isInLongLine = false
                } else if newline - done > limits.line {
                    batch.rejections.add(.longLine)
                } else {
                    batch.lines += 1
                    unsafe OTLPLine.read(
                        UnsafeRawBufferPointer(rebasing: bytes[done..<newline]),
                        into: &batch.events,
                        rejections: &batch.rejections
                    )
                }
                done = newline + 1
                searched = done
            }
            if file.isInLongLine {
                done = bytes.count
            } else if bytes.count - done > limits.line {
                batch.rejections.add(.longLine)
                file.isInLongLine = true
                done = bytes.count
            }
        }
        buffer.removeSubrange(..<done)
        searched = buffer.count
        return done
    }

    /// Whether a line has ended behind what was searched already.
    private func hasNewline(
        _ memory: inout Known,
        _ handle: Handle,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) -> Bool {
        var buffer: [UInt8] = []
        while true {
            buffer.removeAll(keepingCapacity: true)
            let count = try handle.file.read(
                at: memory.scanned,
                count: limits.chunk,
                appendingTo: &buffer,
                from: memory.path
            )
            batch.bytes += count
            if count == 0 { return false }
            if buffer.contains(0x0A) { return true }
            memory.scanned += Int64(count)
        }
    }

    /// Takes a last line without a newline if it is whole: a JSON object ends with its own bracket.
    private func finishUnterminated(
        _ file: inout TelemetryCursor.File,
        _ memory: inout Known,
        _ handle: Handle,
        isQuiet: Bool,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) -> Bool {
        let rest = memory.scanned - file.offset
        guard rest > 0 else { return true }
        if rest > Int64(limits.line) {
            // Was searched without being read into the buffer.
            if !file.isInLongLine { batch.rejections.add(.longLine) }
            file.isInLongLine = true
            file.offset = memory.scanned
            return true
        }
        // A long one is tried when nothing has been added since the last look: trying costs its length.
        guard !file.isInLongLine, memory.tried != memory.scanned, isQuiet || rest <= 65_536 else { return true }
        var bytes: [UInt8] = []
        _ = try handle.file.read(at: memory.scanned - 1, count: 1, appendingTo: &bytes, from: memory.path)
        guard bytes == [UInt8(ascii: "}")] else { return true }
        bytes = []
        let count = try handle.file.read(at: file.offset, count: Int(rest), appendingTo: &bytes, from: memory.path)
        guard count == Int(rest) else { return true }
        var events: [TelemetryEvent] = []
        var rejections = Rejections()
        unsafe bytes.withUnsafeBytes { unsafe OTLPLine.read($0, into: &events, rejections: &rejections) }
        guard rejections[.malformedLine] == 0 else {
            memory.tried = memory.scanned
            return true
        }
        batch.events += events
        batch.rejections.add(rejections)
        batch.lines += 1
        file.offset = memory.scanned
        return true
    }

    // MARK: - Coming and going

    /// Makes a place among the files that are followed: of those that are read to their ends, the one that did not change
    /// for longest rests. If there is none, an older one rests whose last line never came.
    private mutating func makePlace(for status: FileStatus) -> Bool {
        var oldest: (id: TelemetryCursor.FileID, modified: Int64)?
        var unfinished: (id: TelemetryCursor.FileID, modified: Int64)?
        for (id, file) in cursor.files {
            guard let memory = known[id], memory.size != -1 else { continue }
            if memory.size == file.offset {
                if memory.modified < oldest?.modified ?? .max { oldest = (id, memory.modified) }
            } else if memory.modified < min(status.modified, unfinished?.modified ?? .max) {
                unfinished = (id, memory.modified)
            }
        }
        guard let chosen = oldest ?? unfinished else { return false }
        cursor.rest(chosen.id, modified: chosen.modified)
        known[chosen.id] = nil
        return true
    }

    /// Begins to follow a file.
    ///
    /// - Returns: False while it is not certain where to begin.
    private mutating func adopt(
        _ path: String,
        _ status: FileStatus,
        _ limit: Int,
        _ batch: inout TelemetryBatch
    ) -> Bool {
        if let rested = cursor.wake(status.id) {
            cursor.files[status.id] = rested
            return true
        }
        var file = TelemetryCursor.File(status.id)
        do throws(SystemError) {
            let handle = try Self.open(path, status.id)
            var original = try original(of: status, handle)
            if let found = original, cursor.files[found.id] == found {
                // What the original says must not be read twice: it is read to its end first.
                guard try finish(found.id, limit, &batch) else {
                    batch.isComplete = false
                    return false
                }
                original = try self.original(of: status, handle)
            }
            if let original {
                (file.offset, file.head, file.headCount) = (original.offset, original.head, original.headCount)
                (file.tail, file.isInLongLine, file.isCopy) = (original.tail, original.isInLongLine, true)
            }
        } catch {
            // follow() meets the same trouble and counts it.
        }
        cursor.files[status.id] = file
        return true
    }

    /// Reads a file that is followed to its end.
    ///
    /// - Returns: False if that was not possible now.
    private mutating func finish(
        _ id: TelemetryCursor.FileID,
        _ limit: Int,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) -> Bool {
        guard let memory = known[id], let status = try Files.status(memory.path), status.id == id else { return false }
        follow(memory.path, status, limit, &batch)
        return known[id]?.size != -1
    }

    /// The file that another one is a copy of: `copytruncate` copies a log before it cuts it.
    private func original(of status: FileStatus, _ handle: Handle) throws(SystemError) -> TelemetryCursor.File? {
        var bytes: [UInt8] = []
        _ = try handle.file.read(
            at: 0,
            count: TelemetryCursor.File.headLimit,
            appendingTo: &bytes,
            from: directory
        )
        var best: TelemetryCursor.File?
        var hash = StableHash()
        var hashed = 0
        var heads: [Int: UInt64] = [:]
        for count in 0...bytes.count where headCounts[count] {
            hash.add(bytes[hashed..<count])
            hashed = count
            heads[count] = hash.value
        }
        guard !heads.isEmpty else { return nil }
        for known in [
            AnySequence(cursor.files.values), AnySequence(cursor.resting.values), AnySequence(cursor.retired),
        ] {
            for file in known where heads[file.headCount] == file.head && file.offset > best?.offset ?? 0 {
                var copy = file
                copy.isCopy = true
                if try isSame(copy, status, handle) { best = file }
            }
        }
        return best
    }

    /// Reads files that have gone to their ends, as far as they are still open, and forgets them.
    private mutating func finishRemoved(
        _ present: Set<TelemetryCursor.FileID>,
        _ limit: Int,
        _ batch: inout TelemetryBatch
    ) {
        cursor.retireResting(except: present)
        for id in cursor.files.keys.filter({ !present.contains($0) }).sorted(by: { $0.inode < $1.inode }) {
            if let memory = known[id], let handle = memory.handle, let status = try? handle.file.status(memory.path) {
                follow(memory.path, status, limit, &batch)
                if known[id]?.size == -1 {
                    batch.isComplete = false
                    continue
                }
            }
            if let file = cursor.files.removeValue(forKey: id) {
                if let memory = known[id], memory.size > file.offset { batch.rejections.add(.malformedLine) }
                cursor.retire(file)
            }
            known[id] = nil
        }
    }

    private mutating func closeSpareHandles() {
        let open = known.filter { $0.value.handle != nil }
        guard open.count > limits.handles else { return }
        let oldest = open.sorted { $0.value.lastUse < $1.value.lastUse }.prefix(open.count - limits.handles)
        for (id, _) in oldest { known[id]?.handle = nil }
    }
}

extension FileStatus {
    var id: TelemetryCursor.FileID { TelemetryCursor.FileID(device: device, inode: inode) }
}

extension TelemetryCursor.File {
    /// A file of which nothing was read.
    init(_ id: TelemetryCursor.FileID) {
        self.init(
            device: id.device,
            inode: id.inode,
            offset: 0,
            headCount: 0,
            head: StableHash().value,
            tail: StableHash().value,
            isInLongLine: false,
            isCopy: false
        )
    }
}
