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
        var agent: AgentID?
        var run: String?
        /// What is used below it and belongs to nobody yet.
        var waiting = UsageTally()

        var total: TokenUsage { own.larger(below) }
    }

    /// What a span adds.
    struct Addition: Sendable {
        var agent: AgentID?
        /// By its own attribute, or that of a span around it.
        var run: String?
        var used = UsageTally()
        /// What was nobody's until now, and is this agent's.
        var claimed = UsageTally()
    }

    private var nodes: [Key: Node] = [:]
    private var order: [Key] = []

    /// Spans that are remembered; beyond, the older half is forgotten.
    static let most = 32_768
    /// Spans above one that are looked at.
    private static let deepest = 64

    /// Takes a span.
    ///
    /// - Parameter agent: Whose it is, as far as it says so.
    /// - Returns: Nil for one that came before.
    mutating func add(_ event: SpanEvent, agent: AgentID?) -> Addition? {
        let key = Key(trace: event.trace, span: event.span)
        var node = self[key]
        guard !node.hasCome else { return nil }
        let before = node.total
        (node.hasCome, node.parent, node.agent, node.run) = (true, event.parent, agent, event.run)
        node.own = event.usage ?? .none
        var added = node.total.minus(before)
        let waiting = node.waiting
        node.waiting = UsageTally()
        put(node, key)
        added = climb(from: key, node.total, added)
        var addition = Addition(agent: agent, run: event.run)
        if added.total > 0 { addition.used.add(added, of: event.models) }
        let top = claim(from: key, &addition)
        if addition.agent != nil {
            addition.claimed = waiting
        } else if let top {
            var node = self[top]
            node.waiting.add(waiting)
            node.waiting.add(addition.used)
            put(node, top)
        }
        return addition
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
    private func claim(from key: Key, _ addition: inout Addition) -> Key? {
        var place = key
        for _ in 0..<Self.deepest {
            guard let node = nodes[place] else { break }
            addition.agent = addition.agent ?? node.agent
            addition.run = addition.run ?? node.run
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
