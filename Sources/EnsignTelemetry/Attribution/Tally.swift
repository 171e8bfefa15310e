import EnsignModel

/// The sum of calls and inferences.
struct Tally: Sendable {
    var made = CallCounts()
    /// Of that, what views of the same calls that name nobody have counted too.
    var shared = CallCounts()
    /// Tokens of inferences that are in nobody else's.
    var nested = Spending()
    /// Of that, what inferences around them that name nobody have counted too.
    var inside = Spending()
    /// US dollars that activities have reported.
    var told = 0.0

    /// With an agent's own calls and inferences and those that name nobody together, what is in both counts once.
    var countingOnce: Tally {
        var result = self
        result.made = made.subtracting(shared)
        result.shared = CallCounts()
        result.nested.tokens = max(0, nested.tokens - inside.tokens)
        result.nested.cost = max(0, nested.cost - inside.cost)
        result.inside = Spending()
        return result
    }

    func adding(_ other: Tally) -> Tally {
        var result = self
        result.made = made.adding(other.made)
        result.shared = shared.adding(other.shared)
        result.nested.add(other.nested)
        result.inside.add(other.inside)
        result.told += other.told
        return result
    }
}

/// How many calls there were, and what became of them.
struct CallCounts: Sendable, Hashable {
    var calls: Int64 = 0
    /// Denied ones not included.
    var failed: Int64 = 0
    var denied: Int64 = 0

    mutating func add(_ facts: CallFacts) { self = adding(CallCounts(facts)) }

    mutating func remove(_ facts: CallFacts) { self = subtracting(CallCounts(facts)) }

    init() {}

    /// Of a call that failed because it was denied, both facts are known, maybe from different spans.
    private init(_ facts: CallFacts) {
        calls = facts.contains(.made) ? 1 : 0
        denied = facts.contains(.denied) ? 1 : 0
        failed = (facts.contains(.trouble) ? 1 : 0) - denied
    }

    func adding(_ other: CallCounts) -> CallCounts {
        var result = self
        result.calls += other.calls
        result.failed += other.failed
        result.denied += other.denied
        return result
    }

    func subtracting(_ other: CallCounts) -> CallCounts {
        var result = self
        result.calls -= other.calls
        result.failed -= other.failed
        result.denied -= other.denied
        return result
    }
}

/// Tokens and what they cost.
struct Spending: Sendable {
    var tokens: Int64 = 0
    /// US dollars.
    var cost = 0.0
    /// Whether there was any usage at all.
    var isKnown = false
    /// Whether some of it is impossible: then no samples are made from it.
    var isBad = false
    /// How many spans of it name a model without a price: then there is no sample of the cost, unless the bundle's own
    /// model has a price.
    var unpriced: Int64 = 0
    /// Their tokens, which are in `tokens` too.
    var open = TokenUsage.zero
    /// One of the models without a price.
    var openModel: String?
    /// How many spans are priced as the bundle's own model.
    var fallbacks: Int64 = 0

    var isUnpriced: Bool { unpriced > 0 }

    mutating func add(_ other: Spending) {
        tokens = tokens.addingReportingOverflow(other.tokens).overflow ? .max : tokens + other.tokens
        cost += other.cost
        isKnown = isKnown || other.isKnown
        isBad = isBad || other.isBad
        unpriced += other.unpriced
        open = open.adding(other.open)
        openModel = openModel ?? other.openModel
        fallbacks += other.fallbacks
    }

    /// This amount, doubtful if the other one is bad.
    func with(_ other: Spending) -> Spending {
        var result = self
        result.isBad = isBad || other.isBad
        return result
    }

    /// With what has no price of its own at this one.
    func priced(by price: Prices.Price?) -> Spending {
        guard isUnpriced, let price else { return self }
        var result = self
        result.cost += price.cost(of: open)
        result.fallbacks += unpriced
        (result.unpriced, result.open) = (0, .zero)
        return result
    }
}

extension TokenUsage {
    static let zero = TokenUsage(input: 0, output: 0, cacheRead: 0, cacheWrite: 0)

    fileprivate func adding(_ other: TokenUsage) -> TokenUsage {
        var result = self
        result.input = input.adding(saturating: other.input)
        result.output = output.adding(saturating: other.output)
        result.cacheRead = cacheRead.adding(saturating: other.cacheRead)
        result.cacheWrite = cacheWrite.adding(saturating: other.cacheWrite)
        return result
    }
}

/// A run: the outermost span of its agent in a trace, as far as is known.
struct Run: Sendable {
    /// Nil for a run of somebody outside this fleet: what is below it is not counted.
    var agent: AgentID?
    /// What the span says.
    var bundle: Digest?
    /// The target of the route that it counts for; nil if it counts for none.
    var target: Digest?
    /// 0: none.
    var parent: SpanID
    var hasSucceeded: Bool
    var start: Moment
    var end: Moment
    /// The run's own usage, if it has any.
    var own: Spending?
    /// A hash of the session's key.
    var session: UInt64?
    /// Whether it is a run only because it is the outermost span that carries the bundle: it does not say itself that an
    /// agent was asked.
    var isWeak = false
    /// Whether it is a run without anything of an agent inside it.
    var isWorkflow = false
    /// Whether all spans around it have come that can come: so it is the outermost one.
    var isComplete = true
    /// When it was read.
    var since: Moment
    /// The price of the bundle's own model.
    var price: Prices.Price?
    /// Where a gateway's calls of it are, if it has a name by which a gateway may know it.
    var gateway: TraceKey?
    /// Whether it is known by a gateway's calls alone: it has no span.
    var isOfGateway = false
    /// Whether something else of it has come than a gateway's calls, so that its own span is to be expected.
    var isAnnounced = false
}
