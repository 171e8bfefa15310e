import EnsignModel
import EnsignPolicy

/// Calls as a gateway reports them (docs/telemetry.md, "Behind a gateway").
///
/// What a gateway reports of one run is kept together, by the run's name, in whatever traces its spans are: it is the run's
/// calls, and what others report of the same run does not count beside it.
extension Attribution {
    /// The run that a gateway's call is of.
    struct GatewayRun: Sendable {
        var agent: AgentID
        var target: Digest
        var key: TraceKey
    }

    /// What a gateway reported of a run.
    enum GatewayCalls: Sendable, Hashable {
        /// Nothing: what the run's own spans say counts.
        case none
        case made(CallCounts, in: TraceKey)
        /// Calls that were counted already, by themselves or in another run of the same name.
        case before

        /// The calls that count; nil for none that are known.
        func made(beside own: CallCounts) -> CallCounts? {
            switch self {
            case .none: own
            case .made(let counts, _): counts
            case .before: nil
            }
        }
    }

    /// The run that a gateway's call is of; nil for what no gateway reports, and what counts for no bundle.
    mutating func gatewayRun(of event: SpanEvent, _ context: Context) -> GatewayRun? {
        guard event.isGateway, let run = namedRun(of: event, context) else { return nil }
        // Whoever makes a name that is taken for another one's is not believed.
        if let known = traces[run.key]?.groups[OpenTrace.gatewayRun]?.run {
            guard known.agent == run.agent, known.target == run.target else { return nil }
        }
        return run
    }

    private func namedRun(of event: SpanEvent, _ context: Context) -> GatewayRun? {
        guard let agent = event.claimant, context.routes[agent] != nil, let name = event.run,
            case .success(let target) = resolve(event.claim, agent, context)
        else { return nil }
        let key = TraceKey.gateway(agent, target, name, folder: event.key.folder)
        return GatewayRun(agent: agent, target: target, key: key)
    }

    mutating func addGatewayCall(
        _ event: SpanEvent,
        _ run: GatewayRun,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) {
        guard case .call(let call) = event.operation else { return }
        output.rulings.append(
            GatewayRuling(
                agent: run.agent,
                bundle: run.target,
                operation: call.tool,
                wouldRefuse: event.wouldRefuse,
                time: time.end
            )
        )
        let isOver = place(event, call, run, time, context, &output)
        let node = CallNode(call, isProtocol: false, claimant: run.agent, hasFailed: event.hasFailed)
        func activity(_ kind: Activity.Kind) -> Activity {
            Activity(agent: run.agent, bundle: run.target, kind: kind, time: time.end)
        }
        if let call = call.telling(node.said.intersection(.told)) { output.activities.append(activity(.call(call))) }
        let isSettled = traces[run.key]?.groups[OpenTrace.gatewayRun]?.isSettled
        // A run that is over has its name for an hour, whatever still comes.
        let isLate = isSettled ?? isOver
        if isLate { reject(event, .late, &output) }
        guard !isLate || isSettled != nil else { return }
        if !isLate { open(run.key, share: share(of: run.agent, context), at: time.read, &output) }
        let start = time.problem == nil ? min(event.start, time.end) : time.end
        traces.change(run.key) { trace in
            let root = OpenTrace.gatewayRun
            var group = trace.groups[root] ?? Group()
            var known = group.run ?? Run(run, start: start, end: time.end, session: event.run, since: time.read)
            (known.start, known.end) = (min(known.start, start), max(known.end, time.end))
            group.run = known
            group.change(run.agent) { $0.made.add(node.said) }
            if group.names.count < Group.nameLimit { group.names.insert(call.tool) }
            trace.groups[root] = group
            trace.tellSteps(of: run.agent, in: root, at: time.end, &output.activities)
        }
        guard !isLate else { return }
        if isSettled == nil { wait(whetherAnythingComesOf: OpenTrace.gatewayRun, in: run.key, at: time.read) }
        if explains { output.fates.append((event.spanKey, .counted(agent: run.agent, bundle: run.target))) }
    }

    /// Puts a gateway's call into the trace that its client named: what is inside it, such as the server's span, is a view of
    /// it, and counts for nothing of its own.
    ///
    /// - Returns: Whether the run around it was counted.
    private mutating func place(
        _ event: SpanEvent,
        _ call: ToolCall,
        _ run: GatewayRun,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) -> Bool {
        // Without a client's trace there is nothing around it.
        guard event.parent != nil || traces[event.key] != nil else { return false }
        open(event.key, share: share(of: run.agent, context), at: time.read, &output)
        let count = output.activities.count
        var arrival = OpenTrace.Arrival()
        var evaluated: (run: Run, evaluations: [Evaluation])?
        var isOver = false
        traces.change(event.key) { trace in
            trace.note(gateway: run.key, of: run.agent)
            trace.demoteWaiting(for: event.span)
            let link = OpenTrace.Link(parent: event.parent ?? 0, isWork: true, isGateway: true)
            guard let joined = trace.attach(event.span, link) else { return }
            var node = CallNode(call, isProtocol: event.isProtocolCall, claimant: run.agent, hasFailed: false)
            // Its mark of the arguments is like nobody else's.
            (node.said, node.held, node.told, node.arguments) = ([], [], run.agent, nil)
            trace.calls[event.span] = node
            let around = trace.enclosure(below: trace.links[event.span]?.parent ?? 0)
            var nesting = trace.nest(joined.tops, in: .call(event.span))
            nesting += trace.nest([event.span], in: around)
            for pair in nesting.pairs { trace.tellOnce(pair) }
            trace.tell(joined, nesting, at: time.end, context, &output.activities)
            arrival = trace.arrived(event.span)
            trace.tell(grown: arrival, at: time.end, &output.activities)
            trace.groups[joined.root, default: Group()].note(start: event.start)
            evaluated = trace.groups[joined.root]?.takeEvaluations()
            let group = trace.groups[joined.root]
            isOver = group?.isSettled == true && group?.run?.agent == run.agent && group?.run?.target == run.target
        }
        tell(evaluated, &output)
        take(arrival, in: event.key, at: time.read, &output)
        leaveOutReported(since: count, in: event.key, &output)
        return isOver
    }

    /// Notes that something else came of a run whose calls a gateway reports.
    mutating func noteGateway(of event: SpanEvent, _ context: Context) {
        guard traces.gateways > 0, let agent = event.claimant else { return }
        let known = event.run == nil ? traces[event.key]?.gateways[agent] : namedRun(of: event, context)?.key
        guard let known, traces[known] != nil else { return }
        traces.change(known) { $0.groups[OpenTrace.gatewayRun]?.run?.isAnnounced = true }
        traces.change(event.key) { $0.note(gateway: known, of: agent) }
    }

    /// Takes back what others report of calls that a gateway reports. What a gateway does not know of stays: an agent has
    /// more tools than go through it.
    mutating func leaveOutReported(since count: Int, in key: TraceKey, _ output: inout Output) {
        guard traces.gateways > 0, output.activities.count > count, let gateways = traces[key]?.gateways,
            !gateways.isEmpty
        else { return }
        let told = output.activities[count...].filter { activity in
            guard case .call(let call) = activity.kind, let run = gateways[activity.agent] else { return true }
            let names = traces[run]?.groups[OpenTrace.gatewayRun]?.names ?? []
            return call.isNamed && !names.contains { ToolNames.mayBeSame(call.tool, $0) }
        }
        output.activities.replaceSubrange(count..., with: told)
    }

    /// The calls of a run as a gateway reports them: by the run's own name, else by what the gateway said in its trace, or
    /// by the trace's id, which is a run's name where nobody gave it another one.
    func gatewayCalls(of span: SpanID, in key: TraceKey) -> GatewayCalls {
        guard traces.gateways > 0, !key.isGateway, let trace = traces[key], let run = trace.groups[span]?.run,
            let agent = run.agent, let target = run.target
        else { return .none }
        let seen = run.gateway == nil ? trace.gateways[agent] : nil
        let traced = TraceKey.gateway(agent, target, key.id.text, folder: key.folder)
        for place in [run.gateway, seen, traced] {
            guard let place, let group = traces[place]?.groups[OpenTrace.gatewayRun],
                group.run?.agent == agent, group.run?.target == target
            else { continue }
            return group.isSettled ? .before : .made(group.tally(of: agent).made, in: place)
        }
        return .none
    }
}

extension OpenTrace {
    /// The run's place among what a gateway reports: there is no span with this id.
    static let gatewayRun: SpanID = 1

    static let gatewayLimit = 64

    fileprivate mutating func note(gateway: TraceKey, of agent: AgentID) {
        if gateways[agent] == nil, gateways.count >= Self.gatewayLimit { return }
        gateways[agent] = gateway
    }
}

extension TraceKey {
    /// Where a gateway's calls of a run are.
    static func gateway(_ agent: AgentID, _ target: Digest, _ run: String, folder: UInt64) -> TraceKey {
        let name = "\(agent)\n\(target.hex)\n\(run)"
        let id = TraceID(high: StableHash.of(name.utf8), low: StableHash.of("gateway\n\(name)".utf8))
        return TraceKey(id: id, folder: folder, isGateway: true)
    }
}

extension TraceID {
    /// 32 hexadecimal digits, as `traceparent` has them.
    fileprivate var text: String {
        func hex(_ word: UInt64) -> String {
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        return hex(high) + hex(low)
    }
}

extension Run {
    /// A run of which only a gateway's calls are known.
    ///
    /// - Parameter session: Its name: what comes under the same one after it was counted depends on it.
    fileprivate init(_ run: Attribution.GatewayRun, start: Moment, end: Moment, session: String?, since: Moment) {
        self.init(
            agent: run.agent,
            bundle: run.target,
            target: run.target,
            parent: 0,
            hasSucceeded: true,
            start: start,
            end: end,
            session: session.map { StableHash.of($0.utf8) },
            isComplete: false,
            since: since
        )
        isOfGateway = true
    }
}
