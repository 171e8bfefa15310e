package import EnsignModel
package import EnsignSystem

/// What was new in a directory of telemetry.
package struct TelemetryBatch: Sendable {
    /// Of each file in the order of its lines.
    package var events: [TelemetryEvent] = []
    package var rejections = Rejections()
    /// Bytes that were looked at.
    package var bytes = 0
    package var lines = 0
    /// False when there is more: reading again at once gives it.
    package var isComplete = true
    /// What there is that was not read yet.
    package var backlog = TelemetryBacklog()
    /// Files that are not read because too many were there before them; nil when not all were looked at.
    package var unreadFiles: Int?
    /// Agents with a folder of their own.
    package var bound: Set<AgentID> = []

    package init() {}
}

/// How far behind a reader is.
package struct TelemetryBacklog: Sendable, Hashable {
    /// Files in which there is something that was not read yet.
    package var files = 0
    package var bytes: Int64 = 0

    package init(files: Int = 0, bytes: Int64 = 0) { (self.files, self.bytes) = (files, bytes) }
}

/// Reads a directory of OTLP/JSON files as they grow, rotate and are cut (docs/telemetry.md, "Files").
///
/// In each step every file with something new has its turn, and the work of a step is bounded: whoever writes much, or
/// holes, or garbage, or files without end, keeps only themselves waiting. For one thread. It holds at most
/// ``Limits/handles`` files open, so that the end of a file is read even after it was removed; everything else that it
/// remembers beside the cursor only saves work.
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
        /// Names looked at in a step.
        package var names = 4_096
        /// Whether names of spans and scopes are read too, for people.
        package var describes = false

        package init() {}
    }

    /// Files that are known at most, followed and at rest: more are not read.
    package static let most = Limits().files + TelemetryCursor.restingLimit

    package let directory: String
    package internal(set) var cursor: TelemetryCursor
    let limits: Limits
    let account: UInt32
    /// Of the files that are followed, what is remembered while this process lives.
    var known: [TelemetryCursor.FileID: Known] = [:]
    /// Files with something new, in the order of their turns.
    var turns: [TelemetryCursor.FileID] = []
    /// Files with something new that are not followed yet.
    var arrivals = Arrivals()
    var passes = 0

    var walk: TelemetryWalk?
    var wantsWalk = false
    var walks = 0
    /// Files at rest that the present walk has met.
    var metAtRest: Set<TelemetryCursor.FileID> = []
    /// Files that the present walk has met and that are not read.
    var unread = (now: 0, before: 0)
    /// Agents with a folder, as far as is known.
    package internal(set) var bound: Set<AgentID> = []
    /// Folders that look binding but are not, in sentences.
    package internal(set) var problems: [String] = []
    var knowsFolders = false
    /// Folders, and files in them, that the last walk could not look at.
    var unreadablePlaces: [String] = []
    /// The directory and the folders in it.
    var folders: [String]
    /// Files that somebody linked into a folder of theirs, each counted once.
    var foreignLinks: Set<TelemetryCursor.FileID> = []
    var rejections = Rejections()
    /// Of which lengths there are hashes of files' beginnings, so that looking for an original costs one pass.
    var headCounts = [Bool](repeating: false, count: TelemetryCursor.File.headLimit + 1)
    /// Files by their beginnings, as they are while arrivals are given places; nil when it has to be made anew.
    var originals: [Beginning: [TelemetryCursor.File]]?

    struct Known {
        /// Below the directory.
        var path: String
        /// How it was when its end was reached; nil while there may be more.
        var seen: TelemetryCursor.Seen?
        /// How long it was when it was looked at last.
        var size: Int64 = 0
        /// There is no newline between the cursor's offset and here.
        var scanned: Int64 = 0
        /// Bytes of the next line, which was searched to its end; 0: not known.
        var need = 0
        /// Where a last line without a newline ended, if it was tried in vain.
        var tried: Int64 = -1
        /// What it may cost before others have their turn.
        var credit = 0
        var isWaiting = false
        var lastTurn = 0
        var lastWalk = 0
        var missed = 0
        var isGone = false
        var isUnreadable = false
        var handle: Handle?

        init(path: String) { self.path = path }
    }

    final class Handle {
        let file: FileDescriptor
        init(_ file: consuming FileDescriptor) { self.file = file }
    }

    /// - Parameters:
    ///   - directory: It may not exist yet.
    ///   - cursor: How far an earlier reader came.
    ///   - account: The user that this process runs as.
    package init(
        directory: String,
        cursor: TelemetryCursor = TelemetryCursor(),
        limits: Limits = Limits(),
        account: UInt32 = Machine.effectiveUserID
    ) {
        self.directory = directory
        folders = [directory]
        self.cursor = cursor
        self.limits = limits
        self.account = account
        for file in Array(cursor.files.values) + Array(cursor.resting.values) + cursor.retired where file.headCount > 0
        {
            headCounts[file.headCount] = true
        }
    }

    /// Reads one file of the directory alone, whatever else is there: its name is then the only one to ask for.
    package mutating func readAlone() { knowsFolders = true }

    /// Whether a file of this name is telemetry.
    package static func reads(_ name: String) -> Bool { TelemetryFileName.isTelemetry(name) }

    /// The folders whose changes mean new data: watch them with inotify and hand over the names.
    ///
    /// While the directory does not exist, the nearest folder above it that does; else the directory, then the folders of
    /// teams and agents in it.
    package var foldersToWatch: [String] {
        var folder = directory
        while (try? Files.status(folder)) == nil, let parent = Files.parent(of: folder), parent != folder {
            folder = parent
        }
        return folder == directory ? folders : [folder]
    }

    /// What is there and cannot be read at present, as far as was looked: files, and folders with `/`, below the directory.
    package var unreadable: [String] {
        (unreadablePlaces + known.values.filter(\.isUnreadable).map(\.path)).sorted()
    }

    // MARK: - Reading

    /// Reads what is new, as much as may be read in one step.
    ///
    /// - Parameters:
    ///   - changed: The names that inotify reported, below the directory; nil looks at everything, which also finds what
    ///     was removed, in this step and as many more as it takes. Use nil first, and now and then.
    ///   - limit: What a step may cost, about in bytes: every file gets its share of it, and as much again is for lines
    ///     that are longer than a share. A line that has begun is read to its end.
    /// - Throws: ``SystemError`` if the directory cannot be listed. A file that cannot be read is a rejection.
    package mutating func read(
        changed: Set<String>? = nil,
        limit: Int = 2 << 20
    ) throws(SystemError) -> TelemetryBatch {
        var batch = TelemetryBatch()
        passes += 1
        if changed == nil { wantsWalk = true }
        try lookAround(&batch)
        for path in (changed ?? []).sorted() { look(at: path) }
        batch.rejections.add(rejections)
        rejections = Rejections()
        var left = limit
        var spent = 0
        repeat {
            takePlaces()
            spent = serve(left, &batch)
            left -= spent
            // Files that had their turn make room for others.
        } while left > 0 && spent > 0 && !arrivals.isEmpty
        closeSpareHandles()
        batch.bound = bound
        batch.isComplete = turns.isEmpty && arrivals.isEmpty && walk == nil && !wantsWalk
        batch.backlog = backlog
        return batch
    }

    private var backlog: TelemetryBacklog {
        var backlog = arrivals.backlog
        for id in turns {
            guard let memory = known[id], let file = cursor.files[id] else { continue }
            backlog.files += 1
            backlog.bytes = backlog.bytes.adding(saturating: max(0, memory.size - file.offset))
        }
        return backlog
    }

    private mutating func closeSpareHandles() {
        let open = known.filter { $0.value.handle != nil }
        guard open.count > limits.handles else { return }
        let oldest = open.sorted { $0.value.lastTurn < $1.value.lastTurn }.prefix(open.count - limits.handles)
        for (id, _) in oldest { known[id]?.handle = nil }
    }
}

extension FileStatus {
    var id: TelemetryCursor.FileID { TelemetryCursor.FileID(device: device, inode: inode) }

    var seen: TelemetryCursor.Seen { TelemetryCursor.Seen(size: size, changed: changed) }
}

extension TelemetryWalk.Found {
    var writer: TelemetryCursor.Writer {
        folder.map { TelemetryCursor.Writer(folder: $0) } ?? TelemetryCursor.Writer(owner: status.owner)
    }
}
