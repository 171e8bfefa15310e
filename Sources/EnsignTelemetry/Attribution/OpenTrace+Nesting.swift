import EnsignModel

/// Calls within calls (docs/telemetry.md, "One call, several spans").
extension OpenTrace {
    /// What is around a span.
    enum Enclosure: Sendable, Hashable {
        /// The next call above it.
        case call(SpanID)
        /// No call of which it could be a view.
        case none
        /// Not known yet: its ancestors have come up to here.
        case open(root: SpanID)
    }

    /// What is around a span below this parent.
    func enclosure(below parent: SpanID) -> Enclosure {
        guard parent != 0 else { return .none }
        var span = parent
        for _ in 0..<Self.depthLimit {
            if let run = groups[span]?.run {
                // Who only carries a bundle stands between the views of a call as any other span does.
                guard run.isWeak, run.parent != 0 else { return .none }
                span = run.parent
                continue
            }
            if calls[span] != nil { return .call(span) }
            guard let link = links[span] else { return .open(root: span) }
            if link.isBarrier || link.parent == 0 { return .none }
            span = link.parent
        }
        return .none
    }

    /// What became of calls once it was known what is around them.
    struct Nesting: Sendable {
        /// Views of one call, and what both say of it.
        var pairs: [(inner: SpanID, outer: SpanID, shared: CallFacts)] = []
        /// Calls that are not views of another one.
        var alone: [SpanID] = []

        static func += (left: inout Nesting, right: Nesting) {
            left.pairs += right.pairs
            left.alone += right.alone
        }
    }

    /// Puts calls into what is around them, or keeps them until that is known.
    mutating func nest(_ spans: [SpanID], in enclosure: Enclosure) -> Nesting {
        var nesting = Nesting()
        switch enclosure {
        case .none: nesting.alone = spans
        case .open(let root):
            if !spans.isEmpty { groups[root, default: Group()].tops += spans }
        case .call(let outer):
            for inner in spans {
                if let shared = nest(inner, in: outer) {
                    nesting.pairs.append((inner, outer, shared))
                } else {
                    nesting.alone.append(inner)
                }
            }
        }
        return nesting
    }

    /// Makes a call a view of the one around it, if it is one, and counts once what both say.
    ///
    /// - Returns: What both say; nil if they are two calls.
    private mutating func nest(_ inner: SpanID, in outer: SpanID) -> CallFacts? {
        let root = root(of: outer)
        guard var view = calls[inner], let around = calls[outer], view.outer == nil, view.mayBelong(with: around),
            layers(above: outer) + view.height <= CallNode.layers
        else { return nil }
        switch view.likeness(to: around) {
        case .different: return nil
        case .same: break
        case .alias:
            guard groups[root]?.takeAlias(view.tool, for: around.tool) == true else { return nil }
        }
        view.outer = outer
        calls[inner] = view
        var result: CallFacts?
        var height = view.height
        var place: SpanID? = outer
        while let span = place, var node = calls[span] {
            let shared = view.shares(view.held, with: node)
            node.said.subtract(shared)
            node.held.formUnion(view.held)
            node.arguments = node.arguments ?? view.arguments
            height += 1
            node.height = max(node.height, height)
            calls[span] = node
            groups[root]?.countOnce(shared, node.claimant, view.claimant)
            result = result ?? shared
            place = node.outer
        }
        return result
    }

    /// How many views of one call there are from this one outwards.
    private func layers(above span: SpanID) -> Int {
        var count = 1
        var place = calls[span]?.outer
        while let span = place, count <= CallNode.layers {
            count += 1
            place = calls[span]?.outer
        }
        return count
    }
}
