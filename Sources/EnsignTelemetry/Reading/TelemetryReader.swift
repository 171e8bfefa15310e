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
    private var wantsWalk = false
    var walks = 0
    /// Files at rest that the present walk has met.
    private var metAtRest: Set<TelemetryCursor.FileID> = []
    /// Files that the present walk has met and that are not read.
    private var unread = (now: 0, before: 0)
    /// Agents with a folder, as far as is known.
    package private(set) var bound: Set<AgentID> = []
    /// Folders that bind nobody though they look so, in sentences.
    package private(set) var problems: [String] = []
    private var knowsFolders = false
    /// The directory and the folders in it.
    private var folders: [String]
    /// Files that somebody linked into a folder of theirs, each counted once.
    private var foreignLinks: Set<TelemetryCursor.FileID> = []
    private var rejections = Rejections()
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
        /// No newline stands between the cursor's offset and here.
        var scanned: Int64 = 0
        /// Bytes of the next line, which was searched to its end; 0: not known.
        var need = 0
        /// Where a last line without a newline ended that was tried in vain.
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

    // MARK: - Looking

    /// Looks at some more of what there is, if somebody asked for all.
    private mutating func lookAround(_ batch: inout TelemetryBatch) throws(SystemError) {
        // Files that wait for a place are enough for now.
        guard arrivals.count < limits.files else { return }
        if walk == nil, wantsWalk {
            wantsWalk = false
            walk = try TelemetryWalk(directory, account: account)
            walks += 1
            (metAtRest, unread.now) = ([], 0)
            guard walk != nil else {
                // No directory, no folders.
                (bound, folders, problems, knowsFolders) = ([], [directory], [], true)
                return endWalk(&batch)
            }
        }
        guard let walk else { return }
        var found: [TelemetryWalk.Found] = []
        do throws(SystemError) {
            try walk.look(at: limits.names) { found.append($0) }
        } catch {
            self.walk = nil
            throw error
        }
        bound.formUnion(walk.agents)
        if walk.knowsFolders {
            // Those that are gone bind nobody any more.
            (bound, problems, knowsFolders) = (walk.agents, walk.problems, true)
            let found = [directory] + walk.folders.map { "\(directory)/\($0)" }
            if found != folders { folders = found }
        }
        // Older ones first, by a time that no writer sets.
        for file in found.sorted(by: { ($0.status.changed, $0.path) < ($1.status.changed, $1.path) }) { consider(file) }
        if walk.isDone {
            self.walk = nil
            endWalk(&batch)
        }
    }

    /// Looks at one name that changed.
    private mutating func look(at path: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.allSatisfy({ !$0.isEmpty && !$0.hasPrefix(".") }), let name = parts.last else { return }
        var folder: AgentID?
        var owner: UInt32 = 0
        do throws(SystemError) {
            switch parts.count {
            // Before it is known who has a folder, nothing beside the folders is read.
            case 1: if !knowsFolders { return }
            case 3:
                let agent = AgentID(team: parts[0], name: parts[1])
                guard bound.contains(agent), let status = try Files.status("\(directory)/\(agent)"),
                    status.kind == .directory
                else { return }
                (folder, owner) = (agent, status.owner)
            default: return
            }
            guard let status = try Files.status("\(directory)/\(path)"), status.kind == .file else { return }
            consider(TelemetryWalk.Found(folder: folder, name: name, status: status, folderOwner: owner))
        } catch {
            // The next walk meets it again.
        }
    }

    /// Sees whether there is something new in a file.
    private mutating func consider(_ found: TelemetryWalk.Found) {
        let id = found.status.id
        // Whoever links somebody else's file into their folder does not make it theirs.
        if found.folder != nil, found.status.links > 1, found.status.owner != found.folderOwner {
            if foreignLinks.count < 1_000, foreignLinks.insert(id).inserted { rejections.add(.unreadableFile) }
            return
        }
        if cursor.files[id] != nil {
            return follow(found)
        }
        if let file = cursor.resting[id] {
            metAtRest.insert(id)
            if file.seen == found.status.seen { return }
        } else {
            guard found.status.size > 0, TelemetryFileName.isTelemetry(found.name) else { return }
            if found.status.changed <= cursor.horizons[found.writer] ?? .min {
                unread.now += 1
                return
            }
        }
        arrivals.add(found)
    }

    private mutating func follow(_ found: TelemetryWalk.Found) {
        let id = found.status.id
        var memory = known[id] ?? Known(path: found.path)
        if memory.path != found.path {
            let isLink = found.status.links > 1 && (try? Files.status("\(directory)/\(memory.path)"))?.id == id
            if !isLink {
                memory.path = found.path
                cursor.files[id]?.writer = found.writer
            }
        }
        (memory.lastWalk, memory.missed, memory.isGone) = (walks, 0, false)
        memory.size = found.status.size
        let offset = cursor.files[id]?.offset ?? 0
        // A last line that is long is tried once nothing is added to it any more.
        let maySucceed = memory.scanned > offset && memory.tried != memory.scanned
        known[id] = memory
        if memory.seen != found.status.seen || maySucceed { giveTurn(to: id) }
    }

    mutating func giveTurn(to id: TelemetryCursor.FileID) {
        guard known[id]?.isWaiting == false else { return }
        known[id]?.isWaiting = true
        turns.append(id)
    }

    // MARK: - What is gone

    private mutating func endWalk(_ batch: inout TelemetryBatch) {
        let met = metAtRest
        cursor.retireResting { !met.contains($0) }
        for id in cursor.files.keys.filter({ known[$0]?.lastWalk != walks }).sorted(by: { $0.inode < $1.inode }) {
            lookForRemoved(id, &batch)
        }
        // Counted once, however often it is looked at.
        batch.rejections.add(.tooManyFiles, Int64(max(0, unread.now - unread.before)))
        unread.before = unread.now
        batch.unreadFiles = unread.now
    }

    /// Reads a file that has gone to its end, if it is still open, and forgets it.
    private mutating func lookForRemoved(_ id: TelemetryCursor.FileID, _ batch: inout TelemetryBatch) {
        guard var memory = known[id] else { return forget(id, &batch) }
        if let status = try? memory.handle?.file.status(memory.path) {
            memory.missed += 1
            // It may have been renamed while the folder was listed.
            guard status.links == 0 || memory.missed > 1 else {
                known[id] = memory
                return
            }
            memory.isGone = true
            known[id] = memory
            giveTurn(to: id)
        } else if (try? Files.status("\(directory)/\(memory.path)"))?.id != id {
            forget(id, &batch)
        }
    }

    mutating func forget(_ id: TelemetryCursor.FileID, _ batch: inout TelemetryBatch) {
        let memory = known.removeValue(forKey: id)
        guard let file = cursor.files.removeValue(forKey: id) else { return }
        if let seen = memory?.seen, seen.size > file.offset { batch.rejections.add(.malformedLine) }
        cursor.retire(file)
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
