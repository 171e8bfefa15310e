package import EnsignHost
package import EnsignModel
import EnsignSystem
import EnsignTelemetry

/// What a file or folder of telemetry would count for in an environment, span name by span name, and what is missing where
/// it does not count.
///
/// Reads and attributes as `watch` does, with the same code, and changes nothing.
package struct TelemetryReview: Sendable {
    /// The spans of one name of one instrumentation.
    package struct Row: Sendable, Hashable {
        package var span: String
        package var scope: String
        package var spans: Int64
        /// What they count as, such as `20 runs, 2 of them failed`.
        package var counts: [String]
        /// Whether agents, calls or inferences among them do not count.
        package var isTrouble: Bool
    }

    /// What does not count, and what to do about it.
    package struct Problem: Sendable, Hashable {
        /// A reason of docs/telemetry.md, or `no-run`, `other-agent`.
        package var reason: String
        package var span: String
        package var scope: String
        package var count: Int64
        /// What is wrong, in words.
        package var why: String
        package var next: String
        /// Of one of them, in hexadecimal.
        package var exampleTrace: String
        package var exampleSpan: String
    }

    /// What counts for a version.
    package struct Version: Sendable, Hashable {
        package var agent: AgentID
        package var version: String
        package var bundle: Digest
        package var runs: Int64
        package var failed: Int64
        package var calls: Int64
        package var inferences: Int64
        /// What readers should know of it: how it is priced, what cannot be measured, which rules cannot fire.
        package var notes: [String]
    }

    package var environment: String
    package var path: String
    package var rows: [Row] = []
    package var problems: [Problem] = []
    package var versions: [Version] = []
    /// About the files and the lines.
    package var notes: [String] = []
    package var spans: Int64 = 0

    /// Whether runs count, and everything else that agents did.
    package var isGood: Bool { !versions.isEmpty && problems.isEmpty }

    package enum Failure: Error, Sendable, Hashable {
        case missing
        /// Its name says that it is not telemetry.
        case notTelemetry
    }

    /// Reads all that is there.
    ///
    /// - Parameters:
    ///   - path: A file whose name ends in `.jsonl` or `.json`, or a folder of such.
    ///   - now: When it is read. What was written long ago is looked at as it was then.
    /// - Throws: ``Failure`` for a path that cannot be read.
    package static func make(_ site: Site, _ environment: String, path: String, now: Moment) throws -> TelemetryReview {
        var reader = try Self.open(path)
        let book = TelemetryBook(site: site, environment: environment)
        _ = book.refresh()
        var attribution = Attribution(environment: environment, explaining: true)
        var spans = SpanReview()
        var calls = CallNames()
        var rejections = Rejections()
        var newest = Moment(nanoseconds: .min)
        func take(_ batch: TelemetryBatch, at moment: Moment) {
            for event in batch.events {
                if case .span(let span) = event { book.load(span.claim, in: span.folder) }
            }
            let output = attribution.add(batch, at: moment, book.context(bound: batch.bound))
            spans.add(batch.events, output)
            for activity in output.activities { calls.take(activity, book) }
            rejections.add(batch.rejections)
        }
        var changed = reader.first
        while true {
            let batch = try reader.reader.read(changed: changed, limit: 8 << 20)
            changed = []
            for case .span(let span) in batch.events { newest = max(newest, span.end) }
            // As if it had been read when it was written; what is still to come stays what it is.
            take(batch, at: min(now, newest == Moment(nanoseconds: .min) ? now : newest.advanced(milliseconds: 1_000)))
            if batch.isComplete { break }
        }
        take(TelemetryBatch(), at: Moment(nanoseconds: .max))
        spans.finish()
        var review = TelemetryReview(environment: environment, path: path)
        review.describe(spans, calls, attribution, book)
        review.notes = Self.notes(rejections, spans, reader.reader.problems, now)
        return review
    }

    struct Opened: ~Copyable {
        var reader: TelemetryReader
        /// What to look at first: everything, or one name.
        var first: Set<String>?
    }

    /// Opens a file, or a folder as `ensign.<env>.telemetry` names one.
    static func open(_ path: String) throws -> Opened {
        guard let status = try Files.status(path) else { throw Failure.missing }
        var limits = TelemetryReader.Limits()
        limits.describes = true
        if status.kind == .directory {
            return Opened(reader: TelemetryReader(directory: path, limits: limits), first: nil)
        }
        let name = String(path.split(separator: "/").last ?? "")
        guard status.kind == .file, TelemetryReader.reads(name) else { throw Failure.notTelemetry }
        var reader = TelemetryReader(directory: Files.parent(of: path) ?? ".", limits: limits)
        reader.readAlone()
        return Opened(reader: reader, first: [name])
    }

    // MARK: Words

    private static func notes(
        _ rejections: Rejections,
        _ spans: SpanReview,
        _ problems: [String],
        _ now: Moment
    ) -> [String] {
        var notes: [String] = []
        let malformed = rejections[.malformedLine]
        if malformed > 0 {
            notes.append("\(counted(malformed, "line is", "lines are")) not one JSON object of OTLP, and not read")
        }
        if rejections[.longLine] > 0 {
            notes.append("\(counted(rejections[.longLine], "line is", "lines are")) too long")
        }
        if rejections[.unreadableFile] > 0 {
            notes.append("\(counted(rejections[.unreadableFile], "file", "files")) cannot be read")
        }
        if rejections[.badID] > 0 {
            notes.append("\(counted(rejections[.badID], "span has", "spans have")) no trace or span id")
        }
        if spans.unlisted > 0 {
            notes.append(
                "there are more than \(SpanReview.nameLimit) span names: \(counted(spans.unlisted, "span is", "spans are")) not listed"
            )
        }
        if let newest = spans.newest, now.advanced(milliseconds: -7 * 86_400_000) > newest {
            notes.append("the newest span ended at \(newest.timestamp): what is older than 7 days no longer counts")
        }
        return notes + problems
    }

    private mutating func describe(
        _ review: SpanReview,
        _ calls: CallNames,
        _ attribution: Attribution,
        _ book: TelemetryBook
    ) {
        for (name, row) in review.rows.sorted(by: { $0.key < $1.key }) {
            spans += row.spans
            let troubles = row.troubles.filter { Self.isTrouble($0.key, row.kind) }
            rows.append(
                Row(
                    span: name.span,
                    scope: name.scope,
                    spans: row.spans,
                    counts: row.words,
                    isTrouble: !troubles.isEmpty
                )
            )
            for (reason, trouble) in troubles.sorted(by: { $0.key.name < $1.key.name }) {
                problems.append(
                    Problem(
                        reason: reason.name,
                        span: name.span,
                        scope: name.scope,
                        count: trouble.count,
                        why: reason.why(row.kind, trouble.example, environment),
                        next: reason.next(environment),
                        exampleTrace: trouble.example.trace,
                        exampleSpan: trouble.example.span
                    )
                )
            }
        }
        for (version, total) in review.totals.sorted(by: {
            ($0.key.agent, $0.key.bundle) < ($1.key.agent, $1.key.bundle)
        }) {
            let target = book.routes[version.agent]?.targets.first { $0.digest == version.bundle }
            versions.append(
                Version(
                    agent: version.agent,
                    version: target?.version.description ?? version.bundle.short,
                    bundle: version.bundle,
                    runs: total.runs,
                    failed: total.failed,
                    calls: total.calls,
                    inferences: total.inferences,
                    notes: total.notes(model: book.models[version.bundle])
                        + calls.notes(version.agent, version.bundle, total, book)
                )
            )
        }
    }

    /// Whether it is worth a person's time: what says itself that an agent, a tool or a model was at work.
    private static func isTrouble(_ reason: SpanReview.Trouble.Reason, _ kind: SpanReview.Kind) -> Bool {
        if reason == .rejected(.duplicate) { return false }
        switch kind {
        case .run, .call, .inference: return true
        case .workflow: return reason != .alone
        case .other: return reason == .rejected(.contradiction)
        }
    }
}

/// The names by which tools were called, and what is known of their arguments.
private struct CallNames {
    private struct Agent {
        var calls: Int64 = 0
        var withArguments: Int64 = 0
        var unknown: [String: Int64] = [:]
    }

    private var agents: [AgentID: Agent] = [:]

    mutating func take(_ activity: Activity, _ book: TelemetryBook) {
        guard case .call(let call) = activity.kind else { return }
        var agent = agents[activity.agent] ?? Agent()
        agent.calls += 1
        if call.arguments != nil { agent.withArguments += 1 }
        let isUnknown = call.isNamed && book.meaning(of: call.tool, activity.agent, activity.bundle) == .some(nil)
        if isUnknown, agent.unknown[call.tool] != nil || agent.unknown.count < 20 {
            agent.unknown[call.tool, default: 0] += 1
        }
        agents[activity.agent] = agent
    }

    /// What of the rules about calls can and cannot fire.
    func notes(
        _ agent: AgentID,
        _ bundle: Digest,
        _ total: SpanReview.Total,
        _ book: TelemetryBook
    ) -> [String] {
        let granted = book.grantedOperations(bundle) ?? 0
        guard let seen = agents[agent] else {
            guard granted > 0, total.runs > 0 else { return [] }
            return [
                "not one call was seen, although \(counted(granted, "operation is", "operations are")) granted: "
                    + "the metrics of calls have no samples, and steps, unknownTool, repeatedCall and deniedCalls cannot fire"
            ]
        }
        var notes: [String] = []
        if total.calls == 0, granted > 0 { notes.append("none of its calls is in a run") }
        if seen.withArguments == 0 {
            notes.append(
                "no call has arguments that say something: repeatedCall cannot fire (docs/telemetry.md, \"Arguments\")"
            )
        }
        for (tool, count) in seen.unknown.sorted(by: { $0.key < $1.key }) {
            notes.append(
                "\(tool.quoted(utf8: 128)) was called \(counted(count, "time", "times")) and is not granted: unknownTool counts it"
            )
        }
        return notes
    }
}

extension SpanReview.Total {
    fileprivate func notes(model: String?) -> [String] {
        var notes: [String] = []
        for (name, count) in fallbacks.sorted(by: { $0.key < $1.key }) {
            notes.append(
                "cost of \(counted(count, "run", "runs")) is that of the bundle's own model \(model ?? "-"): "
                    + Self.missingPrice(name)
            )
        }
        for (name, count) in unpriced.sorted(by: { $0.key < $1.key }) {
            notes.append(
                "\(counted(count, "run has", "runs have")) no cost: \(Self.missingPrice(name)), "
                    + "and the bundle's own model \(model ?? "-") has none either (fleet/prices.yaml)"
            )
        }
        if withoutTokens > 0 {
            notes.append("\(counted(withoutTokens, "run says", "runs say")) nothing of tokens: no tokens, no cost")
        }
        if badTokens > 0 { notes.append("\(counted(badTokens, "run has", "runs have")) impossible tokens") }
        return notes
    }

    private static func missingPrice(_ name: String) -> String {
        name.isEmpty ? "no span names a model" : "\(name.quoted(utf8: 200)) has no price"
    }
}

extension SpanReview.Row {
    /// What the spans count as.
    fileprivate var words: [String] {
        var words: [String] = []
        if runs > 0 {
            words.append(counted(runs, "run", "runs") + (failed > 0 ? ", \(failed) of them failed" : ""))
        }
        if parts > 0 { words.append(counted(parts, "part of a run", "parts of runs")) }
        if inRuns > 0 {
            let isCall = kind == .call
            var text = isCall ? counted(inRuns, "call", "calls") : counted(inRuns, "model call", "model calls")
            if isCall { text += withArguments > 0 ? " with arguments" : ", no arguments" }
            if !isCall, withTokens > 0 { text += " with tokens" }
            if !isCall, withTokens == 0 { text += ", no tokens" }
            words.append(text)
        }
        if unusableArguments > 0 {
            words.append("\(unusableArguments) with arguments that say nothing of the call")
        }
        if words.isEmpty, troubles.isEmpty { words.append("nothing by itself") }
        if !troubles.isEmpty {
            let lost = troubles.filter { $0.key != .rejected(.duplicate) }.values.reduce(0) { $0 + $1.count }
            let twice = troubles[.rejected(.duplicate)]?.count ?? 0
            if lost > 0 { words.append("\(lost) not counted") }
            if twice > 0 { words.append("\(twice) read before") }
        }
        return words
    }
}

extension SpanReview.Trouble.Reason {
    fileprivate var name: String {
        switch self {
        case .rejected(let reason): reason.rawValue
        case .alone: "no-run"
        case .others: "other-agent"
        }
    }

    fileprivate func why(_ kind: SpanReview.Kind, _ example: SpanReview.Example, _ environment: String) -> String {
        let name = example.claim.name.map { $0.quoted(utf8: 128) }
        let bundle = example.claim.bundle.map { $0.quoted(utf8: 128) }
        switch self {
        case .alone:
            return "no run is around it: neither it nor a span above it that counts is an agent's"
        case .others:
            return "it names \(name ?? bundle ?? "another agent"), and stands in a run of another agent"
        case .rejected(let reason):
            switch reason {
            case .unknownAgent:
                guard let name else { return "it names no agent: ensign.bundle and gen_ai.agent.name are missing" }
                return AgentID(example.claim.name ?? "") == nil
                    ? "ensign.bundle is missing, and \(name) is a framework's name, not <team>/<agent>"
                    : "agent \(name) has no route in \(environment)"
            case .unknownBundle: return "\(environment) runs no bundle \(bundle ?? "-")"
            case .unknownVersion:
                let version = example.claim.version.map { "version \($0.quoted(utf8: 128))" }
                return version.map {
                    "\(environment) does not run \($0) of \(name ?? "-"), and ensign.bundle is missing"
                }
                    ?? "\(name ?? "-") is named without ensign.bundle or gen_ai.agent.version"
            case .ambiguousVersion:
                return "several bundles of \(name ?? "-") have this version: ensign.bundle is missing"
            case .contradiction: return "ensign.agent is \(name ?? "-"), and ensign.bundle is another agent's"
            case .otherEnvironment:
                let named = example.environments.filter { $0 != environment }.first ?? "-"
                return "deployment.environment.name is \(named.quoted(utf8: 128)), not '\(environment)'"
            case .foreignAgent: return "it is in the folder of an agent, and names \(name ?? bundle ?? "another one")"
            case .boundAgent: return "\(name ?? "its agent") has a folder of its own, and this is not in it"
            case .badTime: return "it ends before it starts, or has no times"
            case .future: return "it ends in the future"
            case .stale: return "it is older than 7 days"
            case .badUsage: return "its tokens are negative, not whole, or too many"
            case .late: return "it came after its run was counted"
            case .evicted: return "more was open than may be"
            default: return reason.rawValue
            }
        }
    }

    fileprivate func next(_ environment: String) -> String {
        switch self {
        case .alone: return "open the run's own span around the work: with session.run(): (docs/runtimes.md)"
        case .others: return "let each agent's session stamp its own spans alone"
        case .rejected(let reason):
            switch reason {
            case .unknownAgent, .unknownVersion, .ambiguousVersion:
                return "stamp every span with the session's attributes, ensign.bundle among them: "
                    + "provider.add_span_processor(ensign.SpanProcessor()) (docs/runtimes.md)"
            case .unknownBundle:
                return
                    "ensign get agents --env \(environment) says what runs; a session keeps the bundle that it began with"
            case .contradiction: return "set both from one session, or leave ensign.agent out"
            case .otherEnvironment:
                return "check what was written for that environment: --env, or the exporter's resource"
            case .foreignAgent, .boundAgent: return "let the agent's exporter write into its own folder"
            case .badTime, .future: return "look at the clock of the machine that wrote it"
            case .stale: return "check newer telemetry"
            case .badUsage: return "look at what the instrumentation writes into gen_ai.usage"
            case .late: return "let exporters write within 15 seconds: a shorter batch timeout"
            default: return "docs/telemetry.md, \"What is rejected\""
            }
        }
    }
}

// MARK: - JSON

extension TelemetryReview {
    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment), "path": .string(path), "good": .bool(isGood),
            "spans": .integer(spans),
            "names": .array(
                rows.map {
                    [
                        "span": .string($0.span), "scope": .string($0.scope), "spans": .integer($0.spans),
                        "counts": .array($0.counts.map { .string($0) }), "trouble": .bool($0.isTrouble),
                    ]
                }
            ),
            "versions": .array(
                versions.map {
                    [
                        "agent": .string($0.agent.description), "version": .string($0.version),
                        "bundle": .string($0.bundle.description), "runs": .integer($0.runs),
                        "failed": .integer($0.failed), "calls": .integer($0.calls),
                        "inferences": .integer($0.inferences), "notes": .array($0.notes.map { .string($0) }),
                    ]
                }
            ),
            "problems": .array(
                problems.map {
                    [
                        "reason": .string($0.reason), "span": .string($0.span), "scope": .string($0.scope),
                        "count": .integer($0.count), "why": .string($0.why), "next": .string($0.next),
                        "example": ["traceId": .string($0.exampleTrace), "spanId": .string($0.exampleSpan)],
                    ]
                }
            ),
            "notes": .array(notes.map { .string($0) }),
        ]
    }
}
