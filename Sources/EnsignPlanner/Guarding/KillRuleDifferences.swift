import EnsignModel

/// Compares the kill switch rules that apply to an agent.
enum KillRuleDifferences {
    /// A removed rule is not a loss if another one halts at least as early.
    static func between(_ old: [KillRule], _ new: [KillRule]) -> [GuardDifference] {
        let (gone, came) = (unique(old.filter { !new.contains($0) }), unique(new.filter { !old.contains($0) }))
        let partners = pairs(gone, came)
        var found: [GuardDifference] = []
        for rule in gone where !new.contains(where: { $0.haltsWhenever(rule) }) {
            let now = partners[rule].map { "is now at \($0.words)" } ?? "is gone"
            found.append(GuardDifference(rule.field, .loosened, "the halt at \(rule.words) \(now)"))
        }
        for rule in came where !old.contains(where: { $0.haltsWhenever(rule) }) {
            let was = partners.first { $0.value == rule }?.key
            // A rule that replaces a lost one was reported with it.
            if let was, !rule.haltsWhenever(was) { continue }
            let text = was.map { "the halt at \($0.words) is now at \(rule.words)" } ?? "a halt at \(rule.words) is new"
            found.append(GuardDifference(rule.field, .tightened, text))
        }
        return found
    }

    /// Which new rule replaces which old one: of the same kind, preferably with the same window.
    private static func pairs(_ gone: [KillRule], _ came: [KillRule]) -> [KillRule: KillRule] {
        var partners: [KillRule: KillRule] = [:]
        var rest = came
        for needsWindow in [true, false] {
            for rule in gone where partners[rule] == nil {
                let index = rest.firstIndex {
                    $0.field == rule.field && (!needsWindow || $0.window == rule.window)
                }
                if let index { partners[rule] = rest.remove(at: index) }
            }
        }
        return partners
    }

    private static func unique(_ rules: [KillRule]) -> [KillRule] {
        var seen: Set<KillRule> = []
        return rules.filter { seen.insert($0).inserted }
    }
}

extension KillRule {
    /// Whether whatever breaks `other` also breaks this rule, and no later.
    func haltsWhenever(_ other: KillRule) -> Bool {
        switch (self, other) {
        case (.spend(let own, let window), .spend(let limit, let span)): own <= limit && window.covers(span)
        case (.repeatedCall(let own, let window), .repeatedCall(let count, let span)),
            (.deniedCalls(let own, let window), .deniedCalls(let count, let span)):
            own <= count && window.covers(span)
        case (.steps(let own), .steps(let count)), (.unknownTool(let own), .unknownTool(let count)): own <= count
        default: false
        }
    }

    fileprivate var window: TimeSpan? {
        switch self {
        case .spend(_, let window), .repeatedCall(_, let window), .deniedCalls(_, let window): window
        case .steps, .unknownTool: nil
        }
    }

    /// As in manifests.
    fileprivate var field: String { "killSwitch.\(name)" }

    /// The threshold at which it halts, for people.
    fileprivate var words: String {
        switch self {
        case .spend(let limit, let window): "\(JSONValue(limit).text) USD within \(window)"
        case .repeatedCall(let count, let window): "\(count) equal \(calls(count)) within \(window)"
        case .deniedCalls(let count, let window): "\(count) denied \(calls(count)) within \(window)"
        case .steps(let count): "\(count) \(calls(count)) in one run"
        case .unknownTool(let count):
            count == 1 ? "1 call of a tool that was not granted" : "\(count) calls of tools that were not granted"
        }
    }

    private func calls(_ count: Int64) -> String { count == 1 ? "call" : "calls" }
}

extension TimeSpan {
    fileprivate func covers(_ other: TimeSpan) -> Bool { milliseconds >= other.milliseconds }
}
