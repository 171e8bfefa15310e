import EnsignModel
import EnsignTelemetry

/// Spans around and below each other, so that what several of them report counts once: a framework's span of an answer
/// around a library's, an agent's sum around the answers of its models.
///
/// Of each kind of tokens a span has used what it reports, or what those below it do, whichever is more. Spans come in any
/// order, mostly the inner ones first.
struct UsageTree: Sendable {
    struct Key: Hashable, Sendable {
        var trace: TraceID
        var span: SpanID
    }

    private struct Node: Sendable {
        var parent: SpanID?
        var own = TokenUsage.none
        var below = TokenUsage.none
        /// Whether it came itself; until then somebody has only named it as its parent.
        var hasCome = false
        var owner = Owner()
        /// What is used below it whose agent or run is not known yet, by what is.
        var open: [Owner: UsageTally] = [:]

        var total: TokenUsage { own.larger(below) }
    }

    /// Whose something is, as far as it is known: by a span's own attributes, or those of a span around it.
    struct Owner: Hashable, Sendable {
        var agent: AgentID?
        var run: String?

        var isKnown: Bool { agent != nil && run != nil }

        /// What a span around it says of the rest.
        func completed(by other: Owner) -> Owner { Owner(agent: agent ?? other.agent, run: run ?? other.run) }
    }

    /// What a span adds.
    struct Addition: Sendable {
        var owner: Owner
        var used = UsageTally()
        /// What was taken before it and is only now known to be somebody's, or of some run.
        var moved: [Move] = []
    }

    struct Move: Sendable {
        var from: Owner
        var to: Owner
        var used: UsageTally
    }

    private var nodes: [Key: Node] = [:]
    private var order: [Key] = []

    /// Spans that are remembered; beyond, the older half is forgotten.
    static let most = 32_768
    /// Spans above one that are looked at.
    private static let deepest = 64
    /// Different owners below one span that are not wholly known; what comes beyond stays where it was counted.
    private static let mostOpen = 256

    /// Takes a span.
    ///
    /// - Parameter agent: Whose it is, as far as it says so.
    /// - Returns: Nil for one that came before.
    mutating func add(_ event: SpanEvent, agent: AgentID?) -> Addition? {
        let key = Key(trace: event.trace, span: event.span)
        var node = self[key]
        guard !node.hasCome else { return nil }
        let before = node.total
        (node.hasCome, node.parent, node.owner) = (true, event.parent, Owner(agent: agent, run: event.run))
        node.own = event.usage ?? .none
        var added = node.total.minus(before)
        let open = node.open
        node.open = [:]
        put(node, key)
        added = climb(from: key, node.total, added)
        var addition = Addition(owner: node.owner)
        if added.total > 0 { addition.used.add(added, of: event.models) }
        let top = claim(from: key, &addition.owner)
        var left: [Owner: UsageTally] = [:]
        if !addition.used.isEmpty { left[addition.owner] = addition.used }
        for (from, used) in open {
            let to = from.completed(by: addition.owner)
            if to != from { addition.moved.append(Move(from: from, to: to, used: used)) }
            left[to, default: UsageTally()].add(used)
        }
        wait(left, for: top)
        return addition
    }

    /// Keeps what is not wholly known for the span that is still to come around it.
    private mutating func wait(_ left: [Owner: UsageTally], for top: Key) {
        let left = left.filter { !$0.key.isKnown }
        guard !left.isEmpty, !self[top].hasCome else { return }
        var node = self[top]
        for (owner, used) in left where node.open[owner] != nil || node.open.count < Self.mostOpen {
            node.open[owner, default: UsageTally()].add(used)
        }
        put(node, top)
    }

    /// Puts a span's total below those around it.
    ///
    /// - Returns: What of it they have not reported already.
    private mutating func climb(from key: Key, _ total: TokenUsage, _ added: TokenUsage) -> TokenUsage {
        var (place, below, added) = (key, total, added)
        for _ in 0..<Self.deepest {
            guard let parent = self[place].parent else { break }
            place.span = parent
            var node = self[place]
            let before = node.total
            node.below = node.below.plus(below)
            put(node, place)
            guard node.hasCome else { break }
            below = node.total.minus(before)
            added = added.smaller(below)
        }
        return added
    }

    /// Finds whose a span is among those around it.
    ///
    /// - Returns: The uppermost span that is known of.
    private func claim(from key: Key, _ owner: inout Owner) -> Key {
        var place = key
        for _ in 0..<Self.deepest {
            guard let node = nodes[place] else { break }
            owner = owner.completed(by: node.owner)
            guard let parent = node.parent, nodes[Key(trace: key.trace, span: parent)] != nil else { break }
            place.span = parent
        }
        return place
    }

    private subscript(key: Key) -> Node { nodes[key] ?? Node() }

    private mutating func put(_ node: Node, _ key: Key) {
        guard nodes.updateValue(node, forKey: key) == nil else { return }
        order.append(key)
        guard order.count > Self.most else { return }
        for old in order.prefix(Self.most / 2) { nodes[old] = nil }
        order.removeFirst(Self.most / 2)
    }
}

extension TokenUsage {
    /// The smaller number of each kind.
    fileprivate func smaller(_ other: TokenUsage) -> TokenUsage { minus(minus(other)) }
}
