import EnsignModel
import EnsignSystem

/// What there is, and what is new in it.
extension TelemetryReader {
    /// Looks at some more of what there is, if somebody asked for all.
    mutating func lookAround(_ batch: inout TelemetryBatch) throws(SystemError) {
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
                unreadablePlaces = []
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
            // Those that are gone no longer bind anybody.
            (bound, problems, knowsFolders) = (walk.agents, walk.problems, true)
            let found = [directory] + walk.folders.map { "\(directory)/\($0)" }
            if found != folders { folders = found }
        }
        // Older ones first, by a time that no writer sets.
        for file in found.sorted(by: { ($0.status.changed, $0.path) < ($1.status.changed, $1.path) }) { consider(file) }
        if walk.isDone {
            self.walk = nil
            unreadablePlaces = walk.unreadable
            endWalk(&batch)
        }
    }

    /// Looks at one name that changed.
    mutating func look(at path: String) {
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
        // A long last line is tried once nothing more is added to it.
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
}
