import EnsignModel

/// How often something happened within the last period, in sixty steps of it: never fewer than it was.
///
/// So that of all stretches of time as long as the period none has more than a limit, at the price of refusing up to a
/// sixtieth of the period longer than necessary. Takes at most 61 numbers, whatever the limit.
struct SlidingCount: Sendable, Hashable {
    /// In milliseconds, at least 60.
    let period: Int64
    private var steps: [(step: Int64, count: Int64)] = []

    init(period: Int64) { self.period = max(60, period) }

    private var length: Int64 { period / 60 }

    /// - Parameter now: Milliseconds since 1970.
    mutating func add(_ count: Int64 = 1, at now: Int64) {
        let step = now / length
        if let last = steps.last, last.step > step + 60 {
            // The clock had been ahead by more than the period: as if all of it happened now, so that it ends some time.
            steps = [(step, self.count(at: now))]
        }
        if let last = steps.last, last.step >= step {
            // A clock that was set back: what happened does not become older by it.
            steps[steps.count - 1].count = last.count.adding(saturating: count)
        } else {
            forget(before: step)
            steps.append((step, count))
        }
    }

    func count(at now: Int64) -> Int64 {
        let first = now / length - 60
        return steps.reduce(0) { $1.step >= first ? $0.adding(saturating: $1.count) : $0 }
    }

    private mutating func forget(before step: Int64) {
        let old = steps.prefix { $0.step < step - 60 }.count
        if old > 0 { steps.removeFirst(old) }
    }

    /// What happened when, as far as it is kept: times are the ends of steps.
    var kept: [(time: Int64, count: Int64)] { steps.map { (($0.step + 1) * length - 1, $0.count) } }

    static func == (left: Self, right: Self) -> Bool {
        left.period == right.period && left.steps.elementsEqual(right.steps) { $0 == $1 }
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(period)
        for step in steps { hasher.combine(step.step) }
    }
}
