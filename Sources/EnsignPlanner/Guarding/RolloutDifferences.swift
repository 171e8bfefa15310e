import EnsignModel

/// Compares the rollouts of an agent's changes.
enum RolloutDifferences {
    /// Nil means no rollout, which equals `immediate`.
    static func between(_ old: Rollout?, _ new: Rollout?) -> [GuardDifference] {
        switch (old?.canary, new?.canary) {
        case (nil, nil): return []
        case (let was?, nil):
            var lost = "its canary is gone: every change goes to all sessions at once"
            if was.analysis != nil { lost += ", and nothing judges it" }
            return [GuardDifference("rollout", .loosened, lost)]
                + guards(was.analysis, nil)
        case (nil, let now?):
            return [GuardDifference("rollout", .tightened, "changes go through a canary: \(now.words)")]
                + guards(nil, now.analysis)
        case (let was?, let now?):
            return steps(was, now) + analysis(was.analysis, now.analysis) + guards(was.analysis, now.analysis)
        }
    }

    // MARK: Steps

    /// Steps are looser when at any time a candidate may have more sessions than before.
    private static func steps(_ was: Canary, _ now: Canary) -> [GuardDifference] {
        guard was.steps != now.steps else { return [] }
        let times = Set(was.ends + now.ends + [0])
        let isLooser = times.contains { now.weight(at: $0) > was.weight(at: $0) }
        let isTighter = times.contains { now.weight(at: $0) < was.weight(at: $0) }
        guard isLooser || isTighter else { return [] }
        return [
            GuardDifference(
                "rollout.canary.steps",
                isLooser: isLooser,
                "the canary's steps are \(now.words) (were \(was.words))"
            )
        ]
    }

    // MARK: Analysis

    private static func analysis(_ old: Analysis?, _ new: Analysis?) -> [GuardDifference] {
        let field = "rollout.canary.analysis"
        switch (old, new) {
        case (nil, nil): return []
        case (_?, nil): return [GuardDifference(field, .loosened, "nothing judges its canary from now on")]
        case (nil, let now?):
            return [GuardDifference(field, .tightened, "its canary is judged by \(now.names)")]
        case (let was?, let now?):
            return metrics(was, now) + confidence(was, now) + deadline(was, now) + inconclusive(was, now)
        }
    }

    private static func metrics(_ old: Analysis, _ new: Analysis) -> [GuardDifference] {
        let (before, after) = (old.byName, new.byName)
        return Set(before.keys).union(after.keys).sorted().flatMap { name -> [GuardDifference] in
            let field = "rollout.canary.analysis.metrics.\(name)"
            switch (before[name], after[name]) {
            case (let was?, let now?): return metric(was, now, field)
            case (_?, nil):
                return [GuardDifference(field, .loosened, "its canary is no longer judged by \(name)")]
            case (nil, _?): return [GuardDifference(field, .tightened, "its canary is judged by \(name) too")]
            case (nil, nil): return []
            }
        }
    }

    private static func metric(_ was: Analysis.Metric, _ now: Analysis.Metric, _ field: String) -> [GuardDifference] {
        var found: [GuardDifference] = []
        if was.margin != now.margin {
            let isLooser = !(now.margin.isWithin(was.margin))
            let text = "the margin of \(now.name) is \(now.margin.words) (was \(was.margin.words))"
            found.append(GuardDifference("\(field).margin", isLooser: isLooser, text))
        }
        // A different measure may be weaker.
        if was.kind != now.kind || was.good != now.good {
            found.append(
                GuardDifference(
                    field,
                    .loosened,
                    "\(now.name) is judged in another way: \(now.words) (was \(was.words))"
                )
            )
        }
        if was.query != now.query {
            found.append(GuardDifference("\(field).query", .loosened, "\(now.name) asks something else"))
        }
        return found
    }

    private static func confidence(_ was: Analysis, _ now: Analysis) -> [GuardDifference] {
        guard was.confidence != now.confidence else { return [] }
        let (old, new) = (JSONValue(was.confidence).text, JSONValue(now.confidence).text)
        // Both directions let something past: with less confidence a pass needs less evidence, with more a failure
        // needs more.
        let why = now.confidence < was.confidence ? "a pass takes less evidence" : "a failure takes more evidence"
        let text = "the confidence of its analysis is \(new) (was \(old)): \(why)"
        return [GuardDifference("rollout.canary.analysis.confidence", .loosened, text)]
    }

    private static func deadline(_ was: Analysis, _ now: Analysis) -> [GuardDifference] {
        guard was.deadline != now.deadline else { return [] }
        // Before the deadline a candidate continues without a verdict; after it, it gets no more sessions, or all of
        // them.
        let isLonger = (now.deadline?.milliseconds ?? .max) > (was.deadline?.milliseconds ?? .max)
        let promotes = [was.onInconclusive, now.onInconclusive].map { $0 == .promote }
        let isTighter = isLonger ? promotes == [true, true] : promotes == [false, false]
        let text = "the deadline of its analysis is \(now.deadline.words) (was \(was.deadline.words))"
        return [GuardDifference("rollout.canary.analysis.deadline", isLooser: !isTighter, text)]
    }

    private static func inconclusive(_ was: Analysis, _ now: Analysis) -> [GuardDifference] {
        guard was.onInconclusive != now.onInconclusive else { return [] }
        let text =
            "without a verdict by the deadline its canary \(now.onInconclusive.words) (\(was.onInconclusive.words) before)"
        let isLooser = now.onInconclusive.rank > was.onInconclusive.rank
        return [GuardDifference("rollout.canary.analysis.onInconclusive", isLooser: isLooser, text)]
    }

    // MARK: The guard

    /// What judges the stable version, by metric.
    private static func guards(_ old: Analysis?, _ new: Analysis?) -> [GuardDifference] {
        let (before, after) = (old?.byName ?? [:], new?.byName ?? [:])
        return Set(before.keys).union(after.keys).sorted().compactMap { name in
            let (was, now) = (before[name]?.guarding ?? .off, after[name]?.guarding ?? .off)
            guard was != now else { return nil }
            let words =
                switch (was, now) {
                case (_, .off): "nothing watches any more whether the stable version's \(name) drifts"
                case (_, .halt): "it is halted when the stable version's \(name) drifts"
                case (.halt, .report):
                    "it is no longer halted when the stable version's \(name) drifts: that is told"
                case (_, .report): "when the stable version's \(name) drifts, that is told"
                }
            let field = "rollout.canary.analysis.metrics.\(name).guard"
            return GuardDifference(field, isLooser: now.rank < was.rank, words)
        }
    }
}

extension Rollout {
    fileprivate var canary: Canary? { if case .canary(let canary) = self { canary } else { nil } }
}

extension Canary {
    /// Milliseconds from the start at which each step's hold ends. A hold is at most 100 years, and there are few
    /// holds.
    fileprivate var ends: [Int64] {
        var end: Int64 = 0
        return steps.map { step in
            end += step.hold.milliseconds
            return end
        }
    }

    /// Per cent of the sessions that a candidate may have then, if nothing stops it.
    fileprivate func weight(at time: Int64) -> Int64 {
        for (step, end) in zip(steps, ends) where time < end { return step.weight }
        return 100
    }

    fileprivate var words: String { steps.map { "\($0.weight) % for \($0.hold)" }.joined(separator: ", ") }
}

extension Analysis {
    fileprivate var byName: [String: Metric] { Dictionary(metrics.map { ($0.name, $0) }) { first, _ in first } }

    fileprivate var names: String { metrics.map(\.name).joined(separator: ", ") }
}

extension Analysis.Metric {
    fileprivate var words: String {
        guard let good else { return kind.rawValue }
        return "\(kind.rawValue), a high one is \(good ? "good" : "bad")"
    }
}

extension Analysis.Margin {
    /// Whether it allows no more than another one; false for margins of different kinds.
    fileprivate func isWithin(_ other: Self) -> Bool {
        switch (self, other) {
        case (.absolute(let own), .absolute(let limit)), (.relative(let own), .relative(let limit)): own <= limit
        default: false
        }
    }

    fileprivate var words: String {
        switch self {
        case .absolute(let value): JSONValue(value).text
        case .relative(let share): "\(JSONValue((share * 1e6).rounded() / 1e4).text) %"
        }
    }
}

extension Analysis.Inconclusive {
    /// From the strictest to the least strict.
    fileprivate var rank: Int {
        switch self {
        case .abort: 0
        case .hold: 1
        case .promote: 2
        }
    }

    fileprivate var words: String {
        switch self {
        case .abort: "is taken back"
        case .hold: "waits for a person"
        case .promote: "is completed"
        }
    }
}

extension Analysis.Guarding {
    fileprivate var rank: Int {
        switch self {
        case .off: 0
        case .report: 1
        case .halt: 2
        }
    }
}

extension TimeSpan? {
    fileprivate var words: String { self?.description ?? "none" }
}
