import EnsignModel
import EnsignSystem
import Glibc

/// Whose turn it is, and how much of it (deficit round robin: Shreedhar and Varghese, "Efficient fair queuing using
/// deficit round robin" (1995)).
extension TelemetryReader {
    /// What reading costs, about in bytes, so that lines of three bytes and spans of seventy are no cheaper than they are.
    enum Cost {
        /// Opening a file and seeing that it is the same one.
        static let turn = 4_096
        static let line = 64
        static let event = 256
        /// Bytes that are only searched for a newline cost so much less.
        static let searched = 8
        /// It is not worth opening a file for a smaller turn.
        static let least = 256
    }

    /// What one turn may cost, and what it has cost so far.
    struct Budget {
        let allowance: Int
        var spent = 0

        init(_ allowance: Int) { self.allowance = allowance }

        var left: Int { allowance - spent }
    }

    /// What became of a turn.
    enum Turn {
        /// There is nothing more in the file.
        case end
        /// There is more.
        case more
        /// The next line is longer than the turn.
        case hungry
    }

    /// Gives every file with something new its share of a step.
    ///
    /// Writers have equal shares, and so have the files of each. A line that is longer than its file's share is read when
    /// the file has saved up for it, and only as many such lines in a step as fit into the limit once more.
    ///
    /// - Returns: What it cost.
    mutating func serve(_ limit: Int, _ batch: inout TelemetryBatch) -> Int {
        var spent = 0
        var files: [TelemetryCursor.Writer: Int] = [:]
        for id in turns { files[cursor.files[id]?.writer ?? .init(), default: 0] += 1 }
        let order = turns
        for id in order {
            let writer = cursor.files[id]?.writer ?? .init()
            let share = max(Cost.least, limit / max(1, files.count) / max(1, files[writer] ?? 1))
            let credit = min((known[id]?.credit ?? 0) + share, limits.line + share)
            known[id]?.credit = credit
            if credit > 0 { spent += takeTurn(id, min(credit, share), &batch) }
        }
        var left = limit
        for id in order where left > 0 {
            guard let memory = known[id], memory.isWaiting, memory.need > 0, memory.need <= memory.credit else {
                continue
            }
            let cost = takeTurn(id, min(memory.credit, max(memory.need, left)), &batch)
            (left, spent) = (left - cost, spent + cost)
            // Those that have waited for longest come first the next time.
            if known[id]?.isWaiting == true {
                turns.removeAll { $0 == id }
                turns.append(id)
            }
        }
        let waiting = known
        turns.removeAll { waiting[$0]?.isWaiting != true }
        for id in order where known[id]?.isGone == true && known[id]?.isWaiting == false { forget(id, &batch) }
        return spent + order.count * Cost.turn
    }

    /// Reads of one file what its turn allows.
    ///
    /// - Returns: What it cost.
    private mutating func takeTurn(
        _ id: TelemetryCursor.FileID,
        _ allowance: Int,
        _ batch: inout TelemetryBatch
    ) -> Int {
        guard var memory = known[id], var file = cursor.files[id] else { return 0 }
        memory.lastTurn = passes
        var budget = Budget(allowance)
        do throws(SystemError) {
            let handle = if let handle = memory.handle { handle } else { try open(memory.path, id) }
            memory.handle = handle
            let status = try handle.file.status(memory.path)
            memory.size = status.size
            if try !isSame(file, status, handle) {
                // Cut and written again, or another file with the number of an old one.
                if let seen = memory.seen, seen.size > file.offset { batch.rejections.add(.malformedLine) }
                cursor.retire(file)
                file = TelemetryCursor.File(id, file.writer)
                (memory.scanned, memory.need, memory.tried, memory.seen) = (0, 0, -1, nil)
                if let name = memory.path.split(separator: "/").last, !TelemetryFileName.isTelemetry(String(name)) {
                    cursor.files[id] = nil
                    known[id] = nil
                    return budget.spent
                }
            }
            let before = file.offset
            let turn = try readLines(&file, &memory, handle, status, &budget, &batch)
            if file.offset != before { try fingerprint(&file, handle, memory.path) }
            if case .end = turn {
                (memory.seen, memory.isWaiting) = (status.seen, false)
            } else {
                memory.seen = nil
            }
            memory.isUnreadable = false
        } catch {
            (memory.handle, memory.seen, memory.isWaiting) = (nil, nil, false)
            if !memory.isUnreadable, !error.isMissing { batch.rejections.add(.unreadableFile) }
            // One that is gone has nothing that could be read.
            memory.isUnreadable = !error.isMissing
        }
        // What was saved for a line is of no use behind it; what a line cost beyond that is still owed.
        memory.credit = memory.isWaiting ? memory.credit - budget.spent : min(0, memory.credit - budget.spent)
        cursor.files[id] = file
        known[id] = memory
        return budget.spent
    }

    // MARK: - Lines

    /// Reads whole lines, as far as the allowance goes.
    private func readLines(
        _ file: inout TelemetryCursor.File,
        _ memory: inout Known,
        _ handle: Handle,
        _ status: FileStatus,
        _ budget: inout Budget,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) -> Turn {
        let isQuiet = memory.seen == status.seen
        while budget.left > 0 {
            if memory.scanned <= file.offset { (memory.scanned, memory.need) = (file.offset, 0) }
            if memory.need > 0 {
                guard memory.need <= budget.left else { return .hungry }
                try readLine(&file, &memory, handle, &budget, &batch)
                continue
            }
            if memory.scanned > file.offset || file.isInLongLine {
                switch try searchNewline(&file, &memory, handle, &budget, &batch) {
                case .found: continue
                case .spent: return .hungry
                case .end:
                    try finishUnterminated(&file, &memory, handle, isQuiet, &budget, &batch)
                    return .end
                }
            }
            let place = file.offset
            guard let data = try handle.file.nextData(from: place, memory.path) else { return .end }
            if data > place {
                // Nothing was ever written there, as behind a log that was cut while somebody held it open.
                file.offset = data
                budget.spent += Cost.line
                continue
            }
            let most = min(Int64(limits.chunk), Int64(max(4_096, budget.left)))
            let wanted = Int(min(most, max(1, status.size - place).adding(saturating: 1)))
            var buffer: [UInt8] = []
            let count = try handle.file.read(at: place, count: wanted, appendingTo: &buffer, from: memory.path)
            batch.bytes += count
            let done = consume(buffer, file.writer.folder, &budget, &batch)
            file.offset += Int64(done)
            memory.scanned = file.offset
            if done == count, count > 0 { continue }
            if budget.left <= 0 { return .more }
            // What is left is part of a line.
            memory.scanned = place + Int64(count)
            if count < wanted {
                try finishUnterminated(&file, &memory, handle, isQuiet, &budget, &batch)
                return .end
            }
            // The rest of a short one comes with the next bytes.
            if done > 0 { memory.scanned = file.offset }
        }
        return .more
    }

    /// Reads the lines of some bytes.
    ///
    /// - Returns: How many bytes are finished.
    private func consume(
        _ buffer: [UInt8],
        _ folder: AgentID?,
        _ budget: inout Budget,
        _ batch: inout TelemetryBatch
    ) -> Int {
        var done = 0
        unsafe buffer.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            while budget.left > 0, done < bytes.count {
                // What a cut log is filled up with is not part of a line.
                let first = done
                while done < bytes.count, unsafe bytes[done] == 0 { done += 1 }
                budget.spent += (done - first) / Cost.searched
                guard let found = unsafe memchr(base + done, 0x0A, bytes.count - done) else { return }
                let newline = unsafe found - UnsafeMutableRawPointer(mutating: base)
                unsafe parse(UnsafeRawBufferPointer(rebasing: bytes[done..<newline]), folder, &budget, &batch)
                done = newline + 1
            }
        }
        return done
    }

    /// Reads one line whose length is known.
    private func readLine(
        _ file: inout TelemetryCursor.File,
        _ memory: inout Known,
        _ handle: Handle,
        _ budget: inout Budget,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(memory.need)
        while bytes.count < memory.need {
            let place = file.offset + Int64(bytes.count)
            let wanted = min(memory.need - bytes.count, 1 << 20)
            let count = try handle.file.read(at: place, count: wanted, appendingTo: &bytes, from: memory.path)
            // Cut since it was searched: the next turn sees that.
            guard count > 0 else { break }
        }
        batch.bytes += bytes.count
        if bytes.last == 0x0A {
            unsafe bytes.withUnsafeBytes { bytes in
                let line = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - 1)])
                unsafe parse(line, file.writer.folder, &budget, &batch)
            }
            file.offset += Int64(bytes.count)
        } else {
            budget.spent += bytes.count
        }
        (memory.scanned, memory.need) = (file.offset, 0)
    }

    private func parse(
        _ line: UnsafeRawBufferPointer,
        _ folder: AgentID?,
        _ budget: inout Budget,
        _ batch: inout TelemetryBatch
    ) {
        guard line.count <= limits.line else {
            batch.rejections.add(.longLine)
            budget.spent += line.count / Cost.searched
            return
        }
        let before = batch.events.count
        batch.lines += 1
        unsafe OTLPLine.read(
            line,
            describing: limits.describes,
            into: &batch.events,
            rejections: &batch.rejections
        )
        if let folder {
            for index in before..<batch.events.count { batch.events[index] = batch.events[index].from(folder) }
        }
        budget.spent += line.count + Cost.line + Cost.event * (batch.events.count - before)
    }

    private enum Search {
        /// Something is known now: how long the line is, or that it is over.
        case found
        case spent
        /// There is nothing more in the file.
        case end
    }

    /// Searches the end of a line that is longer than what was read of it, without keeping it.
    private func searchNewline(
        _ file: inout TelemetryCursor.File,
        _ memory: inout Known,
        _ handle: Handle,
        _ budget: inout Budget,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) -> Search {
        while budget.left > 0 {
            guard let data = try handle.file.nextData(from: memory.scanned, memory.path) else { return .end }
            if data > memory.scanned {
                // A hole ends a line: what is before it was never finished.
                if !file.isInLongLine { batch.rejections.add(.malformedLine) }
                file.isInLongLine = false
                (file.offset, memory.scanned, memory.need) = (data, data, 0)
                return .found
            }
            var buffer: [UInt8] = []
            let most = min(limits.chunk, max(4_096, budget.left * Cost.searched))
            let count = try handle.file.read(at: memory.scanned, count: most, appendingTo: &buffer, from: memory.path)
            batch.bytes += count
            if count == 0 { return .end }
            budget.spent += max(1, count / Cost.searched)
            if let index = buffer.firstIndex(of: 0x0A) {
                let end = memory.scanned + Int64(index) + 1
                let length = end - file.offset
                if file.isInLongLine || length - 1 > Int64(limits.line) {
                    if !file.isInLongLine { batch.rejections.add(.longLine) }
                    file.isInLongLine = false
                    (file.offset, memory.scanned, memory.need) = (end, end, 0)
                } else {
                    (memory.scanned, memory.need) = (end, Int(length))
                }
                return .found
            }
            memory.scanned += Int64(count)
            if memory.scanned - file.offset > Int64(limits.line) {
                if !file.isInLongLine { batch.rejections.add(.longLine) }
                file.isInLongLine = true
                file.offset = memory.scanned
            }
        }
        return .spent
    }

    /// Takes a last line without a newline if it is whole: a JSON object ends with its own bracket.
    private func finishUnterminated(
        _ file: inout TelemetryCursor.File,
        _ memory: inout Known,
        _ handle: Handle,
        _ isQuiet: Bool,
        _ budget: inout Budget,
        _ batch: inout TelemetryBatch
    ) throws(SystemError) {
        let rest = memory.scanned - file.offset
        // A long one is tried when nothing has been added since the last look: trying costs its length.
        guard rest > 0, !file.isInLongLine, memory.tried != memory.scanned, isQuiet || rest <= 65_536 else { return }
        memory.tried = memory.scanned
        var bytes: [UInt8] = []
        _ = try handle.file.read(at: memory.scanned - 1, count: 1, appendingTo: &bytes, from: memory.path)
        guard bytes == [UInt8(ascii: "}")] else { return }
        bytes = []
        let count = try handle.file.read(at: file.offset, count: Int(rest), appendingTo: &bytes, from: memory.path)
        guard count == Int(rest) else { return }
        var one = TelemetryBatch()
        unsafe bytes.withUnsafeBytes { unsafe parse($0, file.writer.folder, &budget, &one) }
        guard one.rejections[.malformedLine] == 0 else { return }
        batch.events += one.events
        batch.rejections.add(one.rejections)
        batch.lines += one.lines
        file.offset = memory.scanned
    }
}
