import EnsignModel

/// The newest times at which something happened, and those around what came last of an earlier time: a log and the one that it
/// was rotated from may be read in turn. Oldest first.
struct TimeWindow: Sendable, Hashable {
    var times: [Int64] = []
    /// What came last that was already out of the window of the newest; nil when nothing was.
    var late: Int64?

    var count: Int { times.count }
    var latest: Int64 { times.last ?? .min }

    /// Adds a time, in its order, and keeps the newest `most`, and as many of those within `milliseconds` of what came late.
    mutating func add(_ time: Moment, within milliseconds: Int64, keeping most: Int) {
        let place = times.lastIndex { $0 <= time.nanoseconds }.map { $0 + 1 } ?? 0
        times.insert(time.nanoseconds, at: place)
        let newest = latest
        if exceeds(time.nanoseconds, newest, milliseconds) { late = time.nanoseconds }
        let earlier = times.prefix { exceeds($0, newest, milliseconds) }.count
        let around = times[..<earlier].filter { isNear($0, late, milliseconds) }
        times.replaceSubrange(..<earlier, with: around.suffix(most))
        let fresh = times.count - min(around.count, most)
        if fresh > most { times.removeSubrange(times.count - fresh..<times.count - most) }
    }

    /// The highest count within a time span that includes `time`.
    func most(around time: Moment, within milliseconds: Int64) -> Int64 {
        var best = 0
        var first = 0
        for last in times.indices {
            while exceeds(times[first], times[last], milliseconds) { first += 1 }
            if times[first] <= time.nanoseconds, times[last] >= time.nanoseconds { best = max(best, last - first + 1) }
        }
        return Int64(best)
    }
}

/// The newest amounts and their times, oldest first.
struct AmountWindow: Sendable, Hashable {
    struct Entry: Sendable, Hashable {
        var time: Int64
        var amount: Double
    }

    var entries: [Entry] = []
    /// What came last that was already out of the window of the newest; nil when nothing was.
    var late: Int64?

    var count: Int { entries.count }

    /// Adds an amount, in the order of time, and drops what is more than `milliseconds` older than the newest, and not within
    /// that of what came late.
    mutating func add(_ amount: Double, at time: Moment, keeping milliseconds: Int64, most: Int) {
        let place = entries.lastIndex { $0.time <= time.nanoseconds }.map { $0 + 1 } ?? 0
        entries.insert(Entry(time: time.nanoseconds, amount: amount), at: place)
        let newest = entries[entries.count - 1].time
        if exceeds(time.nanoseconds, newest, milliseconds) { late = time.nanoseconds }
        let earlier = entries.prefix { exceeds($0.time, newest, milliseconds) }.count
        entries.replaceSubrange(..<earlier, with: entries[..<earlier].filter { isNear($0.time, late, milliseconds) })
        guard entries.count > most else { return }
        var halved: [Entry] = []
        halved.reserveCapacity(entries.count / 2 + 1)
        for start in stride(from: 0, to: entries.count, by: 2) {
            let pair = entries[start..<min(start + 2, entries.count)]
            halved.append(Entry(time: pair.last?.time ?? 0, amount: min(pair.reduce(0) { $0 + $1.amount }, 1e300)))
        }
        entries = halved
    }

    /// The largest sum within a time span that includes `time`.
    ///
    /// Goes through the entries once, however many of them there are of one time. Nothing is taken off a sum again, which would lose
    /// small amounts beside large ones: `heads` has the sums from each entry up to `middle`, `tail` the sum from there on.
    func most(around time: Moment, within milliseconds: Int64) -> Double {
        var best = 0.0
        var first = 0
        var middle = 0
        var heads: [Double] = []
        var tail = 0.0
        for last in entries.indices {
            if exceeds(time.nanoseconds, entries[last].time, milliseconds) { break }
            tail += entries[last].amount
            while exceeds(entries[first].time, entries[last].time, milliseconds) { first += 1 }
            if first > middle || heads.isEmpty {
                middle = last + 1
                heads = []
                var sum = 0.0
                for entry in entries[first...last].reversed() {
                    sum += entry.amount
                    heads.append(sum)
                }
                tail = 0
            }
            // The last entry before `middle` is the first of `heads`.
            let head = first < middle ? heads[middle - 1 - first] : 0
            if entries[last].time >= time.nanoseconds { best = max(best, head + tail) }
        }
        return best
    }
}

private func isNear(_ time: Int64, _ late: Int64?, _ milliseconds: Int64) -> Bool {
    guard let late else { return false }
    return !exceeds(min(time, late), max(time, late), milliseconds)
}

/// Whether two times are further apart than that.
private func exceeds(_ earlier: Int64, _ later: Int64, _ milliseconds: Int64) -> Bool {
    Moment(nanoseconds: later) > Moment(nanoseconds: earlier).advanced(milliseconds: milliseconds)
}
