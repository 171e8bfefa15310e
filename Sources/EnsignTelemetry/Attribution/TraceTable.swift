import EnsignModel

/// Which trace: its id, and the folder that it was read from.
///
/// What one agent's folder says of a trace is never mixed with what others say of it: nobody can write into another one's
/// runs, links and duplicates included.
struct TraceKey: Sendable, Hashable {
    var id: TraceID
    /// A hash of the agent whose folder it is; 0 for what is in none.
    var folder: UInt64 = 0

    /// - Parameter folder: Whose folder; nil for none.
    static func folder(_ agent: AgentID?) -> UInt64 { agent.map { StableHash.of($0.description.utf8) } ?? 0 }
}

/// The traces that are open, in the order in which they were last touched.
///
/// When there is no more room, whoever has most of it gives up their oldest: an agent's folder, an agent that is named, or
/// all the rest together. So a writer who opens traces without end closes none of those that are somebody's.
struct TraceTable: Sendable {
    private(set) var traces: [TraceKey: OpenTrace] = [:]
    /// Spans of all open traces.
    private(set) var spans = 0
    /// By ``OpenTrace/share``.
    private var shares: [UInt64: Share] = [:]
    /// No trace is idle before this.
    private var idleSearch = Moment(nanoseconds: .min)
    private var lastSerial = 0

    private struct Share: Sendable {
        /// One entry for each open trace, about the order in which they were last touched.
        var touches = Queue<(touched: Moment, key: TraceKey, serial: Int)>()
        var traces = 0
        var spans = 0

        /// Of the room that all have: traces and spans, whichever is more.
        func size(_ limits: Attribution.Limits) -> Double {
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
        count(trace.spanCount - before, in: trace.share)
        traces[key] = trace
    }

    /// - Parameter share: Whose room it takes.
    mutating func open(_ key: TraceKey, share: UInt64, at now: Moment) {
        var trace = OpenTrace(touched: now)
        trace.share = share
        put(key, trace, at: now)
    }

    /// Puts a trace in place, as when a state is read back.
    mutating func put(_ key: TraceKey, _ trace: OpenTrace, at touched: Moment) {
        remove(key)
        lastSerial += 1
        traces[key] = trace
        traces[key]?.serial = lastSerial
        shares[trace.share, default: Share()].traces += 1
        shares[trace.share]?.touches.append((touched, key, lastSerial))
        count(trace.spanCount, in: trace.share)
        // Whoever comes back from an earlier state may have been idle for long.
        idleSearch = min(idleSearch, touched)
    }

    /// Notes that something of an open trace has come, and whose it is if that was not known.
    mutating func touch(_ key: TraceKey, share: UInt64, at now: Moment) {
        guard var trace = traces[key] else { return }
        if trace.share == 0, share != 0 {
            remove(key)
            trace.share = share
            trace.touched = max(trace.touched, now)
            put(key, trace, at: trace.touched)
        } else if now > trace.touched {
            traces[key]?.touched = now
        }
    }

    private mutating func count(_ spans: Int, in share: UInt64) {
        self.spans += spans
        shares[share]?.spans += spans
    }

    @discardableResult
    mutating func remove(_ key: TraceKey) -> OpenTrace? {
        guard let trace = traces.removeValue(forKey: key) else { return nil }
        count(-trace.spanCount, in: trace.share)
        shares[trace.share]?.traces -= 1
        return trace
    }

    // MARK: Coming to an end

    /// When the trace that was touched longest ago was touched; nil when none is open.
    var firstTouched: Moment? { shares.values.compactMap { $0.touches.first?.touched }.min() }

    /// A trace that nothing came of since a moment.
    mutating func nextIdle(since limit: Moment) -> TraceKey? {
        guard idleSearch <= limit else { return nil }
        var earliest: Moment?
        for share in shares.keys {
            guard let first = settleFirst(of: share) else { continue }
            if first.touched <= limit { return first.key }
            earliest = min(earliest ?? first.touched, first.touched)
        }
        shares = shares.filter { $0.value.traces > 0 }
        idleSearch = earliest ?? limit.advanced(milliseconds: 1)
        return nil
    }

    /// The trace that has to go for want of room, if there is no more.
    ///
    /// - Parameter share: Whose new trace or span there is no room for.
    mutating func nextTooMany(_ limits: Attribution.Limits, for share: UInt64) -> TraceKey? {
        guard traces.count > limits.traces || spans > limits.spans else { return nil }
        var largest = share
        if (shares[share]?.size(limits) ?? 0) * Double(shares.count) <= 1 {
            largest = shares.max { $0.value.size(limits) < $1.value.size(limits) }?.key ?? share
        }
        return settleFirst(of: largest)?.key
    }

    /// Takes entries away that are not true any more, until the first one is that of an open trace, untouched since.
    private mutating func settleFirst(of share: UInt64) -> (touched: Moment, key: TraceKey)? {
        while let first = shares[share]?.touches.first {
            guard let trace = traces[first.key], trace.serial == first.serial else {
                _ = shares[share]?.touches.removeFirst()
                continue
            }
            guard trace.touched > first.touched else { return (first.touched, first.key) }
            // In use since: it goes to the end of the queue once.
            _ = shares[share]?.touches.removeFirst()
            shares[share]?.touches.append((trace.touched, first.key, first.serial))
        }
        return nil
    }

    /// All traces, of each share in the order in which they would be forgotten.
    var all: [(key: TraceKey, touched: Moment, trace: OpenTrace)] {
        shares.sorted { $0.key < $1.key }.flatMap { _, share in
            share.touches.all.compactMap { touch in
                traces[touch.key].flatMap { $0.serial == touch.serial ? (touch.key, touch.touched, $0) : nil }
            }
        }
    }
}
