package import EnsignModel

/// What spans are and what became of them, by their names: for people who look at their telemetry.
///
/// Fed with the reader's events and with what ``Attribution`` says of each span, so that it can say nothing else than what
/// counts. Bounded: of many names the first are kept, and of many spans the newest wait for their fate.
package struct SpanReview: Sendable {
    package struct Name: Sendable, Hashable, Comparable {
        /// The instrumentation scope's name.
        package var scope: String
        /// The span's; what looks like an id in it is `*`.
        package var span: String

        package static func < (left: Self, right: Self) -> Bool {
            (left.scope, left.span) < (right.scope, right.span)
        }
    }

    /// What a span says that it is.
    package enum Kind: String, Sendable, CaseIterable {
        case run, workflow, call, inference, other
    }

    /// One span to look at.
    package struct Example: Sendable, Hashable {
        /// As OTLP writes them, in hexadecimal.
        package var trace: String
        package var span: String
        package var claim: Claim
        package var environments: [String]
    }

    /// Something that does not count, and why.
    package struct Trouble: Sendable, Hashable {
        package enum Reason: Sendable, Hashable {
            case rejected(Rejection)
            /// A call or an inference in no run.
            case alone
            /// A call or an inference that names another agent than the run around it.
            case others
        }

        package var count: Int64 = 0
        package var example: Example
    }

    /// The spans of one name.
    package struct Row: Sendable {
        package var spans: Int64 = 0
        package var kinds: [Kind: Int64] = [:]
        package var runs: Int64 = 0
        package var failed: Int64 = 0
        /// Parts of runs: agents, chains and workflows inside them.
        package var parts: Int64 = 0
        /// Calls and inferences in runs.
        package var inRuns: Int64 = 0
        /// Calls that other spans inside them report, too.
        package var views: Int64 = 0
        package var withTokens: Int64 = 0
        /// Calls with arguments that say something, and with some that do not.
        package var withArguments: Int64 = 0
        package var unusableArguments: Int64 = 0
        /// Calls that say no tool.
        package var withoutName: Int64 = 0
        /// Spans with a bundle of their own that are nothing, in traces without a run.
        package var idle: Int64 = 0
        package var troubles: [Trouble.Reason: Trouble] = [:]

        /// What most of them are.
        package var kind: Kind {
            kinds.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key ?? .other
        }
    }

    /// What counts of one version of an agent.
    package struct Total: Sendable {
        package var runs: Int64 = 0
        package var failed: Int64 = 0
        package var calls: Int64 = 0
        package var inferences: Int64 = 0
        /// Runs by what is known of their cost.
        package var priced: Int64 = 0
        package var withoutTokens: Int64 = 0
        package var badTokens: Int64 = 0
        /// By model: priced as the bundle's own, and without any price.
        package var fallbacks: [String: Int64] = [:]
        package var unpriced: [String: Int64] = [:]
    }

    package struct Version: Sendable, Hashable {
        package var agent: AgentID
        package var bundle: Digest
    }

    package private(set) var rows: [Name: Row] = [:]
    package private(set) var totals: [Version: Total] = [:]
    /// Spans whose names are not among the first.
    package private(set) var unlisted: Int64 = 0
    /// When the newest span ended.
    package private(set) var newest: Moment?
    private var pending: [SpanKey: Pending] = [:]
    private var order = Queue<SpanKey>()
    /// The traces in which a run counts.
    private var traces: Set<TraceKey> = []

    private struct Pending: Sendable {
        var name: Name
        var kind: Kind
        var isStamped: Bool
        var fate: Fate?
        var example: Example
    }

    package static let nameLimit = 500
    private static let pendingLimit = 400_000

    package init() {}

    package mutating func add(_ events: [TelemetryEvent], _ output: Attribution.Output) {
        for case .span(let span) in events { add(span) }
        for (key, fate) in output.fates {
            if case .run = fate, traces.count < Self.pendingLimit { traces.insert(key.trace) }
            note(key, fate)
        }
        while order.count > Self.pendingLimit, let oldest = order.removeFirst() { finish(oldest) }
    }

    /// Counts what is still waiting for its fate: there is nothing more to come.
    package mutating func finish() {
        while let next = order.removeFirst() { finish(next) }
    }

    private mutating func add(_ span: SpanEvent) {
        newest = max(newest ?? span.end, span.end)
        let name = Name(
            scope: (span.details?.scope ?? "").cut(utf8: 128),
            span: Self.withoutIDs(span.details?.name ?? "").cut(utf8: 128)
        )
        guard rows[name] != nil || rows.count < Self.nameLimit else {
            unlisted += 1
            return
        }
        let kind = Kind(span.operation)
        var row = rows[name] ?? Row()
        row.spans += 1
        row.kinds[kind, default: 0] += 1
        if span.usage != nil { row.withTokens += 1 }
        if case .call(let call) = span.operation, call.arguments != nil { row.withArguments += 1 }
        if span.hasUnusableArguments { row.unusableArguments += 1 }
        if case .call(let call) = span.operation, call.tool.isEmpty { row.withoutName += 1 }
        rows[name] = row
        let example = Example(
            trace: Self.hex(span.trace.high) + Self.hex(span.trace.low),
            span: Self.hex(span.span),
            claim: span.claim,
            environments: span.environments
        )
        let key = span.fateKey
        guard pending[key] == nil else { return }
        let isStamped = span.claim.bundle != nil && span.claim.source == .span
        pending[key] = Pending(name: name, kind: kind, isStamped: isStamped, example: example)
        order.append(key)
    }

    /// The last fate is true, except that what is inside a run is not thereby more than a framework's own part of it.
    private mutating func note(_ key: SpanKey, _ fate: Fate) {
        if key.trace.isGateway, case .run(let agent, let bundle, let hasSucceeded, let cost) = fate {
            // A run without a span.
            totals[Version(agent: agent, bundle: bundle), default: Total()].add(hasSucceeded: hasSucceeded, cost)
            return
        }
        guard let before = pending[key]?.fate else {
            pending[key]?.fate = fate
            return
        }
        if fate == .inside {
            guard before == .rejected(.unknownAgent) else { return }
            pending[key]?.fate = .part
        } else if fate != .rejected(.duplicate) {
            pending[key]?.fate = fate
        }
    }

    private mutating func finish(_ key: SpanKey) {
        guard let item = pending.removeValue(forKey: key), var row = rows.removeValue(forKey: item.name) else { return }
        switch item.fate {
        case .run(let agent, let bundle, let hasSucceeded, let cost):
            row.runs += 1
            if !hasSucceeded { row.failed += 1 }
            totals[Version(agent: agent, bundle: bundle), default: Total()].add(hasSucceeded: hasSucceeded, cost)
        case .part: row.parts += 1
        case .counted(let agent, let bundle):
            row.inRuns += 1
            let version = Version(agent: agent, bundle: bundle)
            if item.kind == .call { totals[version, default: Total()].calls += 1 }
            if item.kind == .inference { totals[version, default: Total()].inferences += 1 }
        case .orphan(let isInRun): row.add(isInRun ? .others : .alone, item.example)
        case .rejected(let reason): row.add(.rejected(reason), item.example)
        case .view: row.views += 1
        case .inside: break
        // An agent or a chain that carries a bundle and became no run: nothing of an agent is in it.
        case nil: if item.isStamped, !traces.contains(key.trace) { row.idle += 1 }
        }
        rows[item.name] = row
    }

    // MARK: Names

    /// A name with `*` for each part that looks like an id: 4 digits or more, or 8 hexadecimal ones, hyphens included.
    static func withoutIDs(_ name: String) -> String {
        var result = ""
        var part = ""
        func isID(_ part: String) -> Bool {
            let digits = part.filter { $0.isNumber }.count
            let isHex = part.allSatisfy { $0.isHexDigit || $0 == "-" }
            return part.count >= 4 && digits == part.count || part.count >= 8 && isHex && digits > 0
        }
        for character in name {
            if character.isLetter || character.isNumber || character == "-" {
                part.append(character)
            } else {
                result += isID(part) ? "*" : part
                part = ""
                result.append(character)
            }
        }
        return result + (isID(part) ? "*" : part)
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension SpanReview.Kind {
    init(_ operation: SpanEvent.Operation) {
        switch operation {
        case .run: self = .run
        case .workflow: self = .workflow
        case .call: self = .call
        case .inference: self = .inference
        case .other: self = .other
        }
    }
}

extension SpanReview.Row {
    fileprivate mutating func add(_ reason: SpanReview.Trouble.Reason, _ example: SpanReview.Example) {
        troubles[reason, default: SpanReview.Trouble(example: example)].count += 1
    }
}

extension SpanReview.Total {
    fileprivate mutating func add(hasSucceeded: Bool, _ cost: Fate.Cost) {
        runs += 1
        if !hasSucceeded { failed += 1 }
        func count(_ model: String, _ models: inout [String: Int64]) {
            guard models[model] != nil || models.count < 20 else { return }
            models[model, default: 0] += 1
        }
        switch cost {
        case .none: withoutTokens += 1
        case .impossible: badTokens += 1
        case .priced: priced += 1
        case .fallback(let model): count(model, &fallbacks)
        case .unpriced(let model): count(model, &unpriced)
        }
    }
}
