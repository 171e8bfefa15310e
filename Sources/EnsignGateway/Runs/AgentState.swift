import EnsignModel

/// What is kept of an agent, whatever runs it names.
struct AgentState: Sendable {
    private var steps = SlidingCount(period: 60_000)
    private var refusals = SlidingCount(period: 60_000)
    private var begun = SlidingCount(period: 3_600_000)
    private var same: [String: SlidingCount] = [:]
    private var rates: [Rate: SlidingCount] = [:]
    /// When runs that may be open were last heard of, by their names' fingerprints.
    private var open: [String: Int64] = [:]
    /// Runs without a name of their own, by their keys' fingerprints.
    private var windows: [String: (name: String, began: Int64)] = [:]

    struct Rate: Hashable, Sendable {
        var operation: String
        var period: CallRate.Period
    }

    /// A run is open for so long after its last call, in milliseconds; so long also is a run without a name.
    static let idle: Int64 = 600_000
    static let most = 4_096

    // MARK: Asking

    func stepsInMinute(at now: Int64) -> Int64 { steps.count(at: now) }
    func refusalsInMinute(at now: Int64) -> Int64 { refusals.count(at: now) }
    func runsInHour(at now: Int64) -> Int64 { begun.count(at: now) }
    func sameInMinute(_ fingerprint: String, at now: Int64) -> Int64 { same[fingerprint]?.count(at: now) ?? 0 }
    func calls(_ rate: Rate, at now: Int64) -> Int64 { rates[rate]?.count(at: now) ?? 0 }

    func openRuns(besides run: String, at now: Int64) -> Int64 {
        Int64(open.count { $0.key != run && $0.value > now - Self.idle })
    }

    /// The name of the run without a name that is going on for a key.
    func window(_ key: String, at now: Int64) -> String? {
        windows[key].flatMap { $0.began > now - Self.idle && $0.began <= now ? $0.name : nil }
    }

    // MARK: Lines

    static func call(_ fingerprint: String, run: String, refused: Bool, at now: Int64) -> String {
        "\(refused ? "r" : "c") \(now) \(fingerprint) \(run)"
    }

    static func begin(run: String, at now: Int64) -> String { "n \(now) \(run)" }

    static func rated(_ rate: Rate, at now: Int64) -> String { "q \(now) \(rate.period.rawValue) \(rate.operation)" }

    static func window(_ key: String, _ name: String, at now: Int64) -> String { "w \(now) \(key) \(name)" }

    /// Takes a line; one that is not understood changes nothing.
    mutating func take(_ line: some StringProtocol) {
        let parts = String(line).split(separator: " ", omittingEmptySubsequences: false).map { String($0) }
        guard parts.count >= 3, let time = Int64(parts[1]) else { return }
        let count = parts.count > 4 ? Int64(parts[4]) ?? 1 : 1
        switch (parts[0], parts.count) {
        case ("c", 4...), ("r", 4...):
            steps.add(at: time)
            if parts[0] == "r" { refusals.add(at: time) }
            add(same: parts[2], at: time)
            open[parts[3]] = max(open[parts[3]] ?? 0, time)
            if open.count > Self.most { open = open.filter { $0.value > time - Self.idle } }
        case ("n", _):
            begun.add(at: time)
            open[parts[2]] = max(open[parts[2]] ?? 0, time)
        case ("q", 4...):
            guard let period = CallRate.Period(rawValue: parts[2]) else { return }
            let rate = Rate(operation: parts[3], period: period)
            rates[rate, default: SlidingCount(period: period.seconds * 1_000)].add(count, at: time)
        case ("w", 4...):
            windows[parts[2]] = (parts[3], time)
            if windows.count > Self.most { windows = windows.filter { $0.value.began > time - Self.idle } }
        // What is left of a longer file: one number of each kind at a time.
        case ("k", 5): takeKept(parts[2], parts[3], count, time)
        default: break
        }
    }

    private mutating func takeKept(_ kind: String, _ name: String, _ count: Int64, _ time: Int64) {
        switch kind {
        case "steps": steps.add(count, at: time)
        case "refusals": refusals.add(count, at: time)
        case "begun": begun.add(count, at: time)
        case "same": add(same: name, count, at: time)
        case "open": open[name] = max(open[name] ?? 0, time)
        default: break
        }
    }

    private mutating func add(same fingerprint: String, _ count: Int64 = 1, at time: Int64) {
        same[fingerprint, default: SlidingCount(period: 60_000)].add(count, at: time)
        guard same.count > Self.most else { return }
        same = same.filter { $0.value.count(at: time) > 0 }
        guard same.count > Self.most else { return }
        // The calls that were made least often are the furthest from a loop.
        let kept = same.map { ($0.key, $0.value, $0.value.count(at: time)) }.sorted { $0.2 > $1.2 }.prefix(
            Self.most / 2
        )
        same = Dictionary(uniqueKeysWithValues: kept.map { ($0.0, $0.1) })
    }

    /// The lines that say the same, for a file that has grown long, in the order of their times.
    func lines(at now: Int64) -> [String] {
        var lines: [(time: Int64, text: String)] = []
        func keep(_ count: SlidingCount, _ kind: String, _ name: String = "-") {
            guard count.count(at: now) > 0 else { return }
            for (time, number) in count.kept { lines.append((time, "k \(time) \(kind) \(name) \(number)")) }
        }
        keep(steps, "steps")
        keep(refusals, "refusals")
        keep(begun, "begun")
        for (fingerprint, count) in same { keep(count, "same", fingerprint) }
        for (rate, count) in rates where count.count(at: now) > 0 {
            for (time, number) in count.kept { lines.append((time, Self.rated(rate, at: time) + " \(number)")) }
        }
        for (run, time) in open where time > now - Self.idle { lines.append((time, "k \(time) open \(run) 1")) }
        for (key, window) in windows where window.began > now - Self.idle {
            lines.append((window.began, Self.window(key, window.name, at: window.began)))
        }
        return lines.sorted { ($0.time, $0.text) < ($1.time, $1.text) }.map(\.text)
    }
}
