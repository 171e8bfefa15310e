import EnsignModel

/// Which trace: its id, and the folder that it was read from.
///
/// What one agent's folder says of a trace is never mixed with what others say of it: nobody can write into another one's
/// runs, links and duplicates included.
struct TraceKey: Sendable, Hashable {
    var id: TraceID
    /// A hash of the agent whose folder it is; 0 for what stands in none.
    var folder: UInt64 = 0

    /// - Parameter folder: Whose folder; nil for none.
    static func folder(_ agent: AgentID?) -> UInt64 { agent.map { StableHash.of($0.description.utf8) } ?? 0 }
}

/// The traces that are open, of each folder in the order in which they were last touched.
///
/// When there is no more room, the folder that has most of it gives up its oldest: a writer who opens traces without end
/// closes its own.
struct TraceTable: Sendable {
    private(set) var traces: [TraceKey: OpenTrace] = [:]
    /// Spans of all open traces.
    private(set) var spans = 0
    private var folders: [UInt64: Folder] = [:]
    /// No trace is idle before this.
    private var idleSearch = Moment(nanoseconds: .min)
    private var lastSerial = 0

    private struct Folder: Sendable {
        /// One entry for each open trace, about the order in which they were last touched.
        var touches = Queue<(touched: Moment, trace: TraceID, serial: Int)>()
        var traces = 0
        var spans = 0

        /// Of the room that all have: traces and spans, whichever is more.
        func share(_ limits: Attribution.Limits) -> Double {
            max(Double(traces) / Double(max(1, limits.traces)), Double(spans) / Double(max(1, limits.spans)))
        }
    }

    subscript(key: TraceKey) -> OpenTrace? { traces[key] }

    var count: Int { traces.count }

    /// Changes a trace that is open.
    mutating func change(_ key: TraceKey, _ body: (inout OpenTrace) -> Void) {
        guard var trace = traces.removeValue(forKey: key) else { return }
        let before = trace.spanCount
        body(&trace)
        count(trace.spanCount - before, in: key.folder)
        traces[key] = trace
    }

    mutating func open(_ key: TraceKey, at now: Moment) { put(key, OpenTrace(touched: now), at: now) }

    /// Puts a trace in place, as when a state is read back.
    mutating func put(_ key: TraceKey, _ trace: OpenTrace, at touched: Moment) {
        remove(key)
        lastSerial += 1
        traces[key] = trace
        traces[key]?.serial = lastSerial
        folders[key.folder, default: Folder()].traces += 1
        folders[key.folder]?.touches.append((touched, key.id, lastSerial))
        count(trace.spanCount, in: key.folder)
        // Whoever comes back from an earlier state may have been idle for long.
        idleSearch = min(idleSearch, touched)
    }

    /// Notes that something of an open trace has come.
    mutating func touch(_ key: TraceKey, at now: Moment) {
        guard let trace = traces[key], now > trace.touched else { return }
        traces[key]?.touched = now
    }

    private mutating func count(_ spans: Int, in folder: UInt64) {
        self.spans += spans
        folders[folder]?.spans += spans
    }

    @discardableResult
    mutating func remove(_ key: TraceKey) -> OpenTrace? {
        guard let trace = traces.removeValue(forKey: key) else { return nil }
        count(-trace.spanCount, in: key.folder)
        folders[key.folder]?.traces -= 1
        return trace
    }

    // MARK: Coming to an end

    /// When the trace that was touched longest ago was touched; nil when none is open.
    var firstTouched: Moment? { folders.values.compactMap { $0.touches.first?.touched }.min() }

    /// A trace that nothing came of since a moment.
    mutating func nextIdle(since limit: Moment) -> TraceKey? {
        guard idleSearch <= limit else { return nil }
        var earliest: Moment?
        for folder in folders.keys {
            guard let touched = settleFirst(of: folder) else { continue }
            if touched <= limit, let id = folders[folder]?.touches.first?.trace { return TraceKey(id: id, folder: folder) }
            earliest = min(earliest ?? touched, touched)
        }
        folders = folders.filter { $0.value.traces > 0 }
        idleSearch = earliest ?? limit.advanced(milliseconds: 1)
        return nil
    }

    /// The trace that has to go for want of room, if there is no more.
    ///
    /// - Parameter folder: Whose new trace or span there is no room for.
    mutating func nextTooMany(_ limits: Attribution.Limits, for folder: UInt64) -> TraceKey? {
        guard traces.count > limits.traces || spans > limits.spans else { return nil }
        var largest = folder
        if (folders[folder]?.share(limits) ?? 0) * Double(folders.count) <= 1 {
            largest = folders.max { $0.value.share(limits) < $1.value.share(limits) }?.key ?? folder
        }
        guard settleFirst(of: largest) != nil, let id = folders[largest]?.touches.first?.trace else { return nil }
        return TraceKey(id: id, folder: largest)
    }

    /// Takes entries away that are not true any more, until the first one is that of an open trace, untouched since.
    private mutating func settleFirst(of folder: UInt64) -> Moment? {
        while let first = folders[folder]?.touches.first {
            guard let trace = traces[TraceKey(id: first.trace, folder: folder)], trace.serial == first.serial else {
                _ = folders[folder]?.touches.removeFirst()
                continue
            }
            guard trace.touched > first.touched else { return first.touched }
            // In use since: it goes to the end of the queue once.
            _ = folders[folder]?.touches.removeFirst()
            folders[folder]?.touches.append((trace.touched, first.trace, first.serial))
        }
        return nil
    }

    /// All traces, of each folder in the order in which they would be forgotten.
    var all: [(key: TraceKey, touched: Moment, trace: OpenTrace)] {
        folders.sorted { $0.key < $1.key }.flatMap { folder, content in
            content.touches.all.compactMap { touch in
                let key = TraceKey(id: touch.trace, folder: folder)
                return traces[key].flatMap { $0.serial == touch.serial ? (key, touch.touched, $0) : nil }
            }
        }
    }
}
