import EnsignModel

/// What is kept of an agent, whatever runs it names.
struct AgentState: Sendable {
    private var steps = SlidingCount(period: 60_000)
    private var refusals = SlidingCount(period: 60_000)
    private var begun = SlidingCount(period: 3_600_000)
    private var same: [Mark: SlidingCount] = [:]
    private var rates: [Rate: SlidingCount] = [:]
    /// Runs that may be open.
    private var open: [Mark: Open] = [:]
    /// Runs without a name of their own, by their keys.
    private var windows: [Mark: (name: String, began: Int64)] = [:]
    /// Calls for which people are asked.
    private var asked: [Question: Asked] = [:]
    /// The bytes that were left of its file when it was made anew last, by whatever process.
    private var size: Int64 = 0

    private struct Open: Sendable {
        /// When it was last heard of: milliseconds since 1970.
        var last: Int64
        /// When it is over, by what it may; nil where nobody knows.
        var end: Int64?
    }

    struct Rate: Hashable, Sendable {
        var operation: String
        var period: CallRate.Period
    }

    /// A call for which people are asked, as far as it is another one than the next.
    struct Question: Hashable, Sendable {
        /// Operation, arguments, and for whom it is made.
        var call: Mark
        var run: Mark
    }

    struct Asked: Sendable {
        /// Since when: milliseconds since 1970.
        var since: Int64
        /// When it was counted last by the rates of its operation.
        var rated: Int64
        /// Until when it may be answered and made.
        var until: Int64
        /// The session's key and the name of its run, where nobody has named one.
        var window: (key: Mark, name: String)?

        /// Whether it is among what a rate has counted within its period.
        func isWithin(_ period: CallRate.Period, at now: Int64) -> Bool {
            rated > now.subtracting(saturating: period.seconds * 1_000)
        }
    }

    /// A run is open for so long after its last call, in milliseconds, unless it is over before; so long also is a run without a name.
    static let idle: Int64 = 600_000
    static let most = 4_096

    // MARK: Asking

    func stepsInMinute(at now: Int64) -> Int64 { steps.count(at: now) }
    func refusalsInMinute(at now: Int64) -> Int64 { refusals.count(at: now) }
    func runsInHour(at now: Int64) -> Int64 { begun.count(at: now) }
    func sameInMinute(_ call: Mark, at now: Int64) -> Int64 { same[call]?.count(at: now) ?? 0 }
    func calls(_ rate: Rate, at now: Int64) -> Int64 { rates[rate]?.count(at: now) ?? 0 }

    var asksAnybody: Bool { !asked.isEmpty }

    func asked(_ question: Question, at now: Int64) -> Asked? { asked[question].flatMap { $0.until >= now ? $0 : nil } }

    /// Whether people are asked for a call of a run.
    func asks(in run: Mark, at now: Int64) -> Bool { asked.contains { $0.key.run == run && $0.value.until >= now } }

    /// The name of an earlier run of a key, without a name of its own, in which people are asked for a call.
    func window(asking call: Mark, _ key: Mark, besides run: Mark, at now: Int64) -> String? {
        let asking = asked.filter { question, asked in
            question.call == call && question.run != run && asked.window?.key == key && asked.until >= now
        }
        return asking.values.max { $0.since < $1.since }?.window?.name
    }

    func isOpen(_ run: Mark, at now: Int64) -> Bool { end(of: run, at: now) != nil }

    /// When a run is over, as far as it is known.
    func knownEnd(of run: Mark) -> Int64? { open[run]?.end }

    /// When a run that is open is over, if nothing more is heard of it; nil for one that is not open.
    private func end(of run: Mark, at now: Int64) -> Int64? {
        guard let open = open[run], Self.isRecent(open.last, at: now) else { return nil }
        let idle = open.last + Self.idle
        guard let end = open.end else { return idle }
        // What people agree to in time is made in time, and needs a place.
        return end > now ? min(end, idle) : asks(in: run, at: now) ? idle : nil
    }

    /// Those that are open: in how many milliseconds each ends if nothing more is heard of it, the first one first.
    func openRuns(besides run: Mark, at now: Int64) -> [Int64] {
        open.keys.filter { $0 != run }.compactMap { end(of: $0, at: now) }.map { $0 - now }.sorted()
    }

    /// What is further ahead was written while the clock was.
    private static func isRecent(_ time: Int64, at now: Int64) -> Bool { time > now - idle && time <= now + idle }

    /// The name of the run without a name that is going on for a key.
    func window(_ key: Mark, at now: Int64) -> String? {
        windows[key].flatMap { $0.began > now - Self.idle && $0.began <= now ? $0.name : nil }
    }

    // MARK: Events

    /// - Parameter time: Milliseconds since 1970.
    mutating func take(_ event: AgentEvent, at time: Int64) {
        switch event {
        case .call(let call, let run, let isRefused):
            steps.add(at: time)
            if isRefused { refusals.add(at: time) }
            add(same: call, at: time)
            open(run, at: time)
            if open.count > Self.most { open = open.filter { $0.value.last > time - Self.idle } }
        case .repeated(let run, let isRefused):
            steps.add(at: time)
            if isRefused { refusals.add(at: time) }
            open(run, at: time)
        case .asked(let question, let new):
            asked[question] = new
            if asked.count > Self.most { asked = asked.filter { $0.value.until >= time } }
        case .settled(let question): asked[question] = nil
        case .turnedAway(let call):
            steps.add(at: time)
            refusals.add(at: time)
            add(same: call, at: time)
        case .over(let run): open[run]?.end = time
        case .began(let run):
            begun.add(at: time)
            open(run, at: time)
        case .rated(let rate, let count):
            rates[rate, default: SlidingCount(period: rate.period.seconds * 1_000)].add(count, at: time)
        case .window(let key, let name):
            windows[key] = (name, time)
            if windows.count > Self.most { windows = windows.filter { $0.value.began > time - Self.idle } }
        case .kept(.size, let count): size = count
        case .kept(.steps, let count): steps.add(count, at: time)
        case .kept(.refusals, let count): refusals.add(count, at: time)
        case .kept(.begun, let count): begun.add(count, at: time)
        case .kept(.same(let call), let count): add(same: call, count, at: time)
        case .kept(.open(let run), _): open(run, at: time)
        }
    }

    private mutating func open(_ run: Mark, at time: Int64) {
        let known = open[run]
        if let known, known.last > time, known.last <= time + Self.idle { return }
        // Whatever goes on is not over, whoever thought so.
        open[run] = Open(last: time, end: known?.end.flatMap { $0 > time ? $0 : nil })
    }

    private mutating func add(same call: Mark, _ count: Int64 = 1, at time: Int64) {
        same[call, default: SlidingCount(period: 60_000)].add(count, at: time)
        guard same.count > Self.most else { return }
        same = same.filter { $0.value.count(at: time) > 0 }
        guard same.count > Self.most else { return }
        // The calls that were made least often are the furthest from a loop.
        let kept = same.map { ($0.key, $0.value, $0.value.count(at: time)) }.sorted { $0.2 > $1.2 }.prefix(
            Self.most / 2
        )
        same = Dictionary(uniqueKeysWithValues: kept.map { ($0.0, $0.1) })
    }

    // MARK: Its file

    /// The bytes beyond which its file is made anew. What still counts may be long by itself: a file that has not doubled is
    /// left alone, since each call would write all of it.
    var most: Int64 { max(EventFile.most, size.adding(saturating: size)) }

    /// What its file is made of anew.
    mutating func shortened(at now: Int64) -> [String] {
        let lines = lines(at: now)
        size = Int64(lines.reduce(0) { $0 + $1.utf8.count + 1 })
        return [AgentEvent.kept(.size, count: size).line(at: now)] + lines
    }

    /// The lines that say the same, in the order of their times.
    private func lines(at now: Int64) -> [String] {
        var events: [(time: Int64, event: AgentEvent)] = []
        func keep(_ count: SlidingCount, _ event: (Int64) -> AgentEvent) {
            guard count.count(at: now) > 0 else { return }
            for (time, number) in count.kept { events.append((time, event(number))) }
        }
        keep(steps) { .kept(.steps, count: $0) }
        keep(refusals) { .kept(.refusals, count: $0) }
        keep(begun) { .kept(.begun, count: $0) }
        for (call, count) in same { keep(count) { .kept(.same(call), count: $0) } }
        for (rate, count) in rates { keep(count) { .rated(rate, count: $0) } }
        for (run, open) in open where open.last > now - Self.idle {
            events.append((open.last, .kept(.open(run), count: 1)))
            if let end = open.end { events.append((end, .over(run: run))) }
        }
        for (key, window) in windows where window.began > now - Self.idle {
            events.append((window.began, .window(key, name: window.name)))
        }
        for (question, asked) in asked where asked.until >= now {
            events.append((asked.rated, .asked(question, asked)))
        }
        return events.map { ($0.time, $0.event.line(at: $0.time)) }.sorted { $0 < $1 }.map(\.1)
    }
}
