package import EnsignModel
import EnsignPolicy
import EnsignSystem
import Synchronization

/// What runs have used, by the spans of those who know: tokens and money.
package protocol UsageSource: Sendable {
    /// What a run has used since it began, and what the day has cost so far.
    func usage(of agent: AgentID, run: String, policy: GatewayPolicy?, now: Timestamp) -> RunUsage
}

/// What was used.
package struct RunUsage: Sendable, Hashable {
    package var tokens: Int64 = 0
    /// US dollars.
    package var costUSD: Double = 0
    /// Of today, in UTC.
    package var agentCostUSD: Double = 0
    package var teamCostUSD: Double = 0
    package var environmentCostUSD: Double = 0
    /// Why nobody knows what was used, for a model: without paths. Nil where it is known.
    package var trouble: String?

    package init() {}
}

/// The point that every call of an agent passes: decides, makes it, records it (docs/gateway.md, "The order of one call").
///
/// The decision is ``CallPolicy``'s; here is what happens before, between and after. Safe from any number of threads.
package final class Gate: Gatekeeper {
    /// What a gate is made of.
    package struct Parts: Sendable {
        package var limits: GatewayFile.Limits
        package var asked: [GatewayFile.IssuerLine]
        package var output: GatewayFile.Strictness
        package var pinRule: GatewayFile.PinRule
        package var admission: Admission
        package var keys: KeyShelf
        package var live: LiveSource
        package var runs: RunBook
        package var record: any DecisionRecord
        package var approvals: any ApprovalDesk
        package var pins: any PinBook
        package var flights: FlightFolder
        package var upstreams: UpstreamDesk
        package var secrets: SecretShelf
        package var spans: SpanWriter?
        package var usage: (any UsageSource)?
        /// Says something to the operator, who may have been told before.
        package var say: @Sendable (String) -> Void
        /// Nanoseconds since 1970.
        package var clock: @Sendable () -> Int64

        package init(
            file: GatewayFile,
            admission: Admission,
            keys: KeyShelf,
            live: LiveSource,
            runs: RunBook,
            record: any DecisionRecord,
            approvals: any ApprovalDesk,
            pins: any PinBook,
            flights: FlightFolder,
            upstreams: UpstreamDesk,
            secrets: SecretShelf,
            spans: SpanWriter?,
            usage: (any UsageSource)?,
            say: @escaping @Sendable (String) -> Void = { _ in },
            clock: @escaping @Sendable () -> Int64 = { Machine.nanoseconds }
        ) {
            (limits, asked, output, pinRule) = (file.limits, file.asked, file.output, file.pins)
            (self.admission, self.keys, self.live, self.runs) = (admission, keys, live, runs)
            self.record = CuttingRecord(record: record, secrets: secrets)
            (self.approvals, self.pins) = (approvals, pins)
            (self.flights, self.upstreams, self.secrets) = (flights, upstreams, secrets)
            (self.spans, self.usage, self.say, self.clock) = (spans, usage, say, clock)
        }
    }

    let parts: Parts
    let flights = SingleFlight()
    private let tally = RefusalTally()
    private let underWay = Mutex(UnderWay())

    package init(_ parts: Parts) { self.parts = parts }

    var now: Timestamp { Timestamp(seconds: parts.clock() / 1_000_000_000) }

    // MARK: Gatekeeper

    package func admit(_ peer: Peer) -> Session? { parts.admission.admit(peer) }

    package func call(_ call: IncomingCall, in session: Session) -> JSONValue {
        var context = context(call, session)
        return answer(&context)
    }

    package func refuse(_ call: IncomingCall, _ refusal: Refusal, in session: Session) -> JSONValue {
        var context = context(call, session)
        // For what comes in floods somebody has counted already.
        guard !refusal.isOfMany else { return refused(refusal, context) }
        context.defect = refusal
        return answer(&context)
    }

    private func answer(_ context: inout CallContext) -> JSONValue {
        do throws(Refusal) {
            try enter(context)
            defer { leave(context) }
            let ruling = try rule(&context)
            return try make(ruling, &context)
        } catch {
            return refused(error, context)
        }
    }

    /// Records a refusal, and answers with it.
    func refused(_ refusal: Refusal, _ context: CallContext) -> JSONValue {
        var decision = context.decision(.refused)
        decision.verdict = .refused
        decision.reason = refusal.reason
        decision.pointer = refusal.pointer
        decision.recorded = context.recorded
        var (number, isCounted): (Int64?, Bool) = (nil, false)
        if refusal.isOfMany {
            (number, isCounted) = tally.number(of: decision, context.agent, in: parts.record, now: now)
        } else {
            number = try? parts.record.append(decision)
        }
        if !isCounted { write(context, reason: refusal.reason, error: Self.errorType(refusal.reason)) }
        var told = refusal
        told.text = parts.secrets.cutter.cut(refusal.text)
        return told.result(decision: number)
    }

    /// Not every refusal denies something: who waits for a person, or for a server, was not refused by the grant.
    private static func errorType(_ reason: Refusal.Reason) -> String? {
        switch reason {
        case .approvalPending: nil
        case .unavailable: "unavailable"
        case .unknownOutcome: "unknown"
        default: "permission_denied"
        }
    }

    /// - Parameters:
    ///   - wouldRefuse: Why a call was only made because its agent is observed.
    ///   - isJoined: Whether it was not made for itself.
    func write(
        _ context: CallContext,
        reason: Refusal.Reason? = nil,
        wouldRefuse: Refusal.Reason? = nil,
        error: String? = nil,
        isJoined: Bool = false
    ) {
        guard let spans = parts.spans else { return }
        let arguments = parts.runs.mark(of: context.call.arguments, in: context.operation)
        spans.write(
            CallSpan(
                trace: context.trace,
                agent: context.agent,
                version: context.bundle?.bundle.version,
                bundle: context.bundle?.digest,
                run: parts.secrets.cutter.cut(context.run.name),
                operation: context.operation,
                arguments: arguments,
                start: context.start,
                end: parts.clock(),
                reason: wouldRefuse ?? reason,
                isObserved: wouldRefuse != nil,
                isJoined: isJoined,
                error: error
            )
        )
    }

    /// Writes down how many refusals have no line of their own, once the minute is over that they came in; and says how many
    /// spans could not be written.
    ///
    /// - Parameter all: Those of this minute, too.
    package func settle(all: Bool = false) {
        tally.settle(in: parts.record, now: all ? nil : now)
        parts.spans?.settle(all: all)
        flights.sweep()
    }

    // MARK: At the same time

    private struct UnderWay {
        /// Calls that are being decided or made.
        var calls = 0
        /// Those that are made, or wait for the same one: the operator's limit is on them.
        var made: [AgentID: Int64] = [:]
        var isClosed = false
    }

    /// Whether no call is under way.
    package var isIdle: Bool { underWay.withLock { $0.calls == 0 } }

    /// Begins no call any more, and starts no server; calls that are under way go on, unless their server does not serve yet.
    package func close() {
        underWay.withLock { $0.isClosed = true }
        parts.upstreams.startNoMore()
    }

    /// Whether it was closed.
    package var isClosed: Bool { underWay.withLock { $0.isClosed } }

    private func enter(_ context: CallContext) throws(Refusal) {
        // With the count: after ``close()`` none can begin that ``isIdle`` did not see.
        let isOpen = underWay.withLock { underWay in
            if !underWay.isClosed { underWay.calls += 1 }
            return !underWay.isClosed
        }
        guard isOpen else { throw .stopping(context.operation) }
    }

    /// Takes one of the agent's places for calls that are made, unless the call has one.
    ///
    /// - Returns: Whether it has one.
    func takePlace(_ context: inout CallContext) -> Bool {
        guard !context.hasPlace else { return true }
        context.hasPlace = underWay.withLock { underWay in
            let count = underWay.made[context.agent] ?? 0
            guard count < parts.limits.callsInFlight else { return false }
            underWay.made[context.agent] = count + 1
            return true
        }
        return context.hasPlace
    }

    private func leave(_ context: CallContext) {
        underWay.withLock { underWay in
            underWay.calls -= 1
            guard context.hasPlace else { return }
            let count = (underWay.made[context.agent] ?? 1) - 1
            underWay.made[context.agent] = count == 0 ? nil : count
        }
    }

    // MARK: Who, and in which run

    private func context(_ call: IncomingCall, _ session: Session) -> CallContext {
        let start = parts.clock()
        let run = run(of: session, traceparent: call.traceparent)
        let (asker, other, note) = askers(header: session.asked, meta: call.asked)
        return CallContext(
            call: call,
            agent: session.agent,
            principal: session.principal,
            run: run,
            key: session.key.map(Self.bounded) ?? run.name,
            window: run.source == .window ? session.key.map(Self.bounded) ?? "" : nil,
            trace: TraceContext(parent: call.traceparent, state: call.tracestate),
            start: start,
            asker: asker,
            otherAsker: other,
            note: note,
            // Until it is known which operation is meant, it is the client's word.
            operation: parts.secrets.cutter.cut(call.name).onOneLine(utf8: 200)
        )
    }

    /// A run's name: as somebody says it, else the trace's id, else one of ten minutes for the agent and its key.
    func run(of session: Session, traceparent: String?) -> RunName {
        if let run = session.run, !run.name.isEmpty { return RunName(Self.bounded(run.name), run.source) }
        if let trace = TraceContext.trace(of: traceparent) { return RunName(trace, .trace) }
        let key = session.key.map(Self.bounded) ?? ""
        let name = try? parts.runs.window(of: session.agent, key: key)
        return RunName(name ?? "window", .window)
    }

    /// Names of runs and keys are the client's: a long one is known by what cannot be told from its beginning alone.
    static func bounded(_ text: String) -> String {
        text.utf8.count <= 256 ? text : text.cut(utf8: 180) + "~" + Fingerprint.hex(of: text)
    }

    /// Who asked. The header comes with the connection, most often from somebody before the agent; `_meta` is the agent's own
    /// word. So the header's counts, and `_meta` can neither name somebody else in its place nor take it away.
    private func askers(header: String?, meta: String?) -> (Asker?, other: Asker?, note: String?) {
        let (first, firstNote) = asker(header)
        guard meta != nil, meta != header else { return (first, nil, firstNote) }
        let (second, secondNote) = asker(meta)
        guard let first else { return (second, nil, firstNote ?? secondNote) }
        guard let second, second != first else { return (first, nil, secondNote) }
        return (first, second, "'_meta' names somebody else who asked than the header; neither agrees to it")
    }

    private func asker(_ token: String?) -> (Asker?, note: String?) {
        guard let token else { return (nil, nil) }
        do throws(JWTVerifier.Refusal) {
            let claims = try parts.keys.verify(token, parts.asked, now: now)
            let email = claims.members["email"]?.string
            return (Asker(issuer: claims.issuer, subject: claims.subject, email: email), nil)
        } catch {
            return (nil, "nobody is taken for who asked: \(error)")
        }
    }
}
