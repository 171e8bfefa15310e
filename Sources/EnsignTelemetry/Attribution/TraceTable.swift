import EnsignModel

/// Which trace: its id, and the folder of its file.
///
/// What one agent's folder says of a trace is never mixed with what others say of it: nobody can write into another one's
/// runs, links and duplicates included.
struct TraceKey: Sendable, Hashable {
    var id: TraceID
    /// A hash of the agent whose folder it is; 0 for what is in none.
    var folder: UInt64 = 0
    /// Whether it is not a trace of anybody's, but the calls that a gateway reports of one run.
    var isGateway = false

    /// - Parameter folder: Whose folder; nil for none.
    static func folder(_ agent: AgentID?) -> UInt64 { agent.map { StableHash.of($0.description.utf8) } ?? 0 }
}

/// The traces that are open, in the order in which they were last touched.
///
/// When there is no more room, the trace that was touched longest ago goes; but where somebody has more than a fair
/// share of the room, one of theirs: an agent's folder, a named agent, or all the rest together. So a writer who opens
/// traces without end closes none that are somebody else's.
struct TraceTable: Sendable {
    private(set) var traces: [TraceKey: OpenTrace] = [:]
    /// Spans of all open traces.
    private(set) var spans = 0
    /// How many of them are what gateways report of runs.
    private(set) var gateways = 0
    private let limits: Attribution.Limits
    private var all = Touches()
    /// By ``OpenTrace/share``.
    private var shares: [UInt64: Share] = [:]
    private var sizes = Sizes()
    private var lastSerial = 0

    /// One entry for each open trace, about the order in which they were last touched.
    private typealias Touches = Queue<Touch>

    private struct Touch: Sendable {
        var time: Moment
        var key: TraceKey
        var serial: Int
    }

    private struct Share: Sendable {
        var touches = Touches()
        var traces = 0
        var spans = 0
    }

    /// Who has how much, the largest at hand.
    private struct Sizes: Sendable {
        private var owners: [Int: Set<UInt64>] = [:]
        private(set) var largest = 0

        var owner: UInt64? { owners[largest]?.first }

        mutating func move(_ owner: UInt64, from before: Int, to after: Int) {
            guard before != after else { return }
            if before > 0 {
                owners[before]?.remove(owner)
                if owners[before]?.isEmpty == true { owners[before] = nil }
            }
            if after > 0 { owners[after, default: []].insert(owner) }
            largest = max(largest, after)
            // It went up in steps and comes down in steps.
            while largest > 0, owners[largest] == nil { largest -= 1 }
        }
    }

    init(limits: Attribution.Limits) { self.limits = limits }

    subscript(key: TraceKey) -> OpenTrace? { traces[key] }

    var count: Int { traces.count }

    /// Entries that are kept to know what goes first.
    var remembered: Int { all.count }

    /// Changes a trace that is open.
    mutating func change(_ key: TraceKey, _ body: (inout OpenTrace) -> Void) {
        guard var trace = traces.removeValue(forKey: key) else { return }
        let before = trace.spanCount
        body(&trace)
        count(0, trace.spanCount - before, in: trace.share)
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
        if key.isGateway { gateways += 1 }
        traces[key]?.serial = lastSerial
        count(1, trace.spanCount, in: trace.share)
        let touch = Touch(time: touched, key: key, serial: lastSerial)
        all.append(touch)
        shares[trace.share]?.touches.append(touch)
        // Entries of traces that went by the other list.
        if all.count > 2 * traces.count + 64 { all = compacted(all) }
        if let share = shares[trace.share], share.touches.count > 2 * share.traces + 64 {
            let touches = compacted(share.touches)
            shares[trace.share]?.touches = touches
        }
    }

    private func compacted(_ touches: Touches) -> Touches {
        var touches = touches
        touches.keep { traces[$0.key]?.serial == $0.serial }
        return touches
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

    @discardableResult
    mutating func remove(_ key: TraceKey) -> OpenTrace? {
        guard let trace = traces.removeValue(forKey: key) else { return nil }
        count(-1, -trace.spanCount, in: trace.share)
        if key.isGateway { gateways -= 1 }
        return trace
    }

    private mutating func count(_ traces: Int, _ spans: Int, in owner: UInt64) {
        guard traces != 0 || spans != 0 else { return }
        self.spans += spans
        var share = shares.removeValue(forKey: owner) ?? Share()
        let before = size(share)
        share.traces += traces
        share.spans += spans
        sizes.move(owner, from: before, to: size(share))
        if share.traces > 0 { shares[owner] = share }
    }

    /// Of the room that all have, in traces: as many spans as there is room for are as much as all traces.
    private func size(_ share: Share) -> Int {
        share.traces + share.spans / max(1, limits.spans / max(1, limits.traces))
    }

    // MARK: Coming to an end

    /// When the least recently touched trace was touched; nil when none is open.
    var firstTouched: Moment? { all.first?.time }

    /// A trace of which nothing has come since a moment.
    mutating func nextIdle(since limit: Moment) -> TraceKey? {
        guard let first = all.first, first.time <= limit else { return nil }
        var touches = all
        all = Touches()
        let found = self.first(of: &touches)
        all = touches
        return found.flatMap { $0.time <= limit ? $0.key : nil }
    }

    /// The trace that must go when there is no more room.
    mutating func nextTooMany() -> TraceKey? {
        guard traces.count > limits.traces || spans > limits.spans else { return nil }
        // Twice what each would have if all had the same.
        let most = max(1, 2 * limits.traces / max(1, shares.count))
        if sizes.largest > most, let owner = sizes.owner, var touches = shares[owner]?.touches {
            shares[owner]?.touches = Touches()
            let found = first(of: &touches)
            shares[owner]?.touches = touches
            if let found { return found.key }
        }
        var touches = all
        all = Touches()
        defer { all = touches }
        return first(of: &touches)?.key
    }

    /// Removes entries that are no longer true, until the first one is that of an open trace, untouched since.
    private func first(of touches: inout Touches) -> Touch? {
        while let first = touches.first {
            guard let trace = traces[first.key], trace.serial == first.serial else {
                _ = touches.removeFirst()
                continue
            }
            guard trace.touched > first.time else { return first }
            // In use since: it goes to the end of the queue once.
            _ = touches.removeFirst()
            touches.append(Touch(time: trace.touched, key: first.key, serial: first.serial))
        }
        return nil
    }

    /// All traces, in the order in which they would be forgotten.
    var inOrder: [(key: TraceKey, touched: Moment, trace: OpenTrace)] {
        all.all.compactMap { touch in
            traces[touch.key].flatMap { $0.serial == touch.serial ? (touch.key, touch.time, $0) : nil }
        }
    }
}
