package import EnsignHost
package import EnsignModel
import EnsignReconciler
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
        if rejections[.malformedLine] > 0 || spans.rows.isEmpty, let shape = Self.shape(of: path) {
            review.notes.append(shape)
        }
        return review
    }

    struct Opened: ~Copyable {
        var reader: TelemetryReader
        /// What to look at first: everything, or one name.
        var first: Set<String>?
    }

    /// Opens a file, or a folder as `ensign.<env>.telemetry` names one.
    static func open(_ path: String) throws -> Opened {
        // Whoever names a link means what is behind it.
        guard let path = Files.canonical(path), let status = try Files.status(path) else { throw Failure.missing }
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
        if rejections[.badStatus] > 0 {
            notes.append(
                "\(counted(rejections[.badStatus], "span has", "spans have")) a status.code that cannot be read, which counts as not failed: "
                    + "write 0, 1, 2 or STATUS_CODE_ERROR"
            )
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
