package import EnsignModel

/// Makes samples and activities from telemetry events: which run counts for which bundle, which call belongs to which
/// run (docs/telemetry.md, "Attribution").
///
/// A pure state machine: the time and the routes come in, samples and activities are returned. Its state is a value that
/// is written together with the reader's cursor and whatever was made of the samples.
package struct Attribution: Sendable {
    package struct Limits: Sendable, Hashable {
        /// How long a run waits, after its span has come, for later calls: two batches of OpenTelemetry's SDKs.
        package var settleMilliseconds: Int64 = 15_000
        /// How long a run waits for a span around it that has not come, after the last span of its trace: a model's answer
        /// may take minutes, and the outermost span comes last.
        package var quietMilliseconds: Int64 = 300_000
        /// How long it waits for it at most.
        package var longestWaitMilliseconds: Int64 = 1_800_000
        /// How long a trace stays open after its last span, for evaluations and runs that last.
        package var idleMilliseconds: Int64 = 3_600_000
        /// How far ahead of ours another machine's clock may be.
        package var skewMilliseconds: Int64 = 300_000
        /// Older telemetry is not evidence of anything.
        package var oldestMilliseconds: Int64 = 7 * 86_400_000
        package var traces = 10_000
        /// Spans of all open traces.
        package var spans = 250_000
        package var spansOfTrace = 10_000
        /// Newest spans among which duplicates are found.
        package var seen = 65_536

        package init() {}
    }

    /// What telemetry is compared with.
    package struct Context: Sendable {
        /// Of every agent of the environment, halted ones included.
        package var routes: [AgentID: Route]
        package var prices: Prices?
        /// Agents with a folder of telemetry of their own: nobody else speaks for them.
        package var bound: Set<AgentID>
        /// Whose a bundle is, by its digest as text: of bundles in a route, and others that are known.
        package var owners: [String: AgentID]
        /// The bundles' own models, `<provider>/<model>`.
        package var models: [Digest: String]
        /// Agents by the `name` that they declare for telemetry.
        package var aliases: [String: AgentID]

        /// - Parameter owners: Nil takes them from the routes.
        package init(
            routes: [AgentID: Route],
            prices: Prices?,
            bound: Set<AgentID> = [],
            owners: [String: AgentID]? = nil,
            models: [Digest: String] = [:],
            aliases: [String: AgentID] = [:]
        ) {
            self.routes = routes
            self.prices = prices
            self.bound = bound
            self.owners = owners ?? Self.owners(of: routes)
            self.models = models
            self.aliases = aliases
        }

        private static func owners(of routes: [AgentID: Route]) -> [String: AgentID] {
            var owners: [String: AgentID] = [:]
            var shared: Set<String> = []
            for (agent, route) in routes {
                for target in route.targets {
                    let before = owners.updateValue(agent, forKey: target.digest.description)
                    if let before, before != agent { shared.insert(target.digest.description) }
                }
            }
            // A digest that two agents claim says nothing of either.
            for digest in shared { owners[digest] = nil }
            return owners
        }

        /// The price of a bundle's own model; nil where nothing is known.
        func price(of bundle: Digest?) -> Prices.Price? {
            bundle.flatMap { models[$0] }.flatMap { prices?.models[$0] }
        }
    }

    /// The result of some events or of time passing.
    package struct Output: Sendable {
        package var samples: [Sample] = []
        package var activities: [Activity] = []
        /// What gateways decided about calls.
        package var rulings: [GatewayRuling] = []
        package var rejections = Rejections()
        /// What became of spans, where somebody asked; the last one of a span is true.
        package var fates: [(span: SpanKey, fate: Fate)] = []

        package init() {}
    }

    /// Whoever has no route here, in calls and inferences: one for all of them.
    static let nobody = AgentID(team: "nobody-in-this-environment", name: "nobody-in-this-environment")

    package let environment: String
    let limits: Limits
    var traces: TraceTable
    var seen: SeenWindow
    /// Runs by the time at which their samples are made, and one of each trace once more, behind which its calls are forgotten.
    var dues = Queue<(due: Moment, trace: TraceKey, span: SpanID)>()
    /// Runs whose surroundings are not known, by the time at which it is looked whether anything still comes.
    var waits = Queue<(due: Moment, trace: TraceKey, span: SpanID)>()
    /// What gateways report of runs, in the same way: after the runs themselves, which it belongs to where they come.
    var reports = Queue<(due: Moment, trace: TraceKey, span: SpanID)>()
    /// Calls by the time at which their names are judged if no call around them has come.
    var names = Queue<(due: Moment, trace: TraceKey, span: SpanID)>()
    /// All that was ever rejected.
    package internal(set) var rejections = Rejections()
    /// What runs cost by the price of their bundle's own model, by agent.
    package internal(set) var fallbacks = FallbackPrices()
    /// Names of agents that have a route, parsed, and whose room their traces take.
    private var known: [String: AgentID] = [:]
    private var shares: [AgentID: UInt64] = [:]
    /// Whether it says of each span what became of it: for people, not for the watch.
    let explains: Bool

    package init(environment: String, limits: Limits = Limits(), explaining explains: Bool = false) {
        self.environment = environment
        self.limits = limits
        self.explains = explains
        seen = SeenWindow(limit: limits.seen)
        traces = TraceTable(limits: limits)
    }

    /// How long a run waits, after its span was read, until it makes samples; in milliseconds.
    package var settleMilliseconds: Int64 { limits.settleMilliseconds }

    /// When time alone makes samples, so that ``add(_:at:_:)`` should be called; nil if never.
    package var nextDue: Moment? {
        let idle = traces.firstTouched?.advanced(milliseconds: limits.idleMilliseconds)
        return [idle, dues.first?.due, names.first?.due, waits.first?.due, reports.first?.due].compactMap { $0 }.min()
    }

    // MARK: - Events

    /// Takes events that were read at a moment.
    package mutating func add(_ batch: TelemetryBatch, at now: Moment, _ context: Context) -> Output {
        var output = Output()
        output.rejections = batch.rejections
        // What is only a link between others comes first: an exporter writes the spans of each library together, and a
        // call is best reported when what is around it is known.
        // So is what a gateway reports: others' views of its calls do not count beside it.
        for event in batch.events {
            guard case .span(let span) = event, span.operation.isAround || span.isGateway else { continue }
            take(span, at: now, context, &output)
        }
        for event in batch.events {
            switch event {
            case .span(let span):
                if span.operation.isAround || span.isGateway { continue }
                take(span, at: now, context, &output)
            case .evaluation(let evaluation): add(evaluation, at: now, context, &output)
            }
        }
        advance(to: now, context, &output)
        rejections.add(output.rejections)
        return output
    }

    /// Makes the samples of runs that have waited long enough, and forgets what is over.
    private mutating func advance(to now: Moment, _ context: Context, _ output: inout Output) {
        while let next = names.first, next.due <= now {
            _ = names.removeFirst()
            let count = output.activities.count
            judgeName(of: next.span, in: next.trace, context, &output)
            leaveOutReported(since: count, in: next.trace, &output)
        }
        while let next = dues.first, next.due <= now {
            _ = dues.removeFirst()
            settle(next.trace, next.span, at: now, &output)
        }
        while let next = waits.first, next.due <= now {
            _ = waits.removeFirst()
            reconsider(next.trace, next.span, at: now, &output)
        }
        while let next = reports.first, next.due <= now {
            _ = reports.removeFirst()
            reconsider(next.trace, next.span, at: now, &output)
        }
        let idle = now.advanced(milliseconds: -limits.idleMilliseconds)
        while let key = traces.nextIdle(since: idle) { close(key, &output) }
        makeRoom(&output)
    }

    /// Closes traces for which there is no more room.
    private mutating func makeRoom(_ output: inout Output) {
        while let key = traces.nextTooMany() {
            output.rejections.add(.evicted)
            close(key, &output)
        }
    }

    private mutating func take(_ event: SpanEvent, at now: Moment, _ context: Context, _ output: inout Output) {
        let count = output.activities.count
        add(event, at: now, context, &output)
        if !event.isGateway { leaveOutReported(since: count, in: event.key, &output) }
    }

    private mutating func add(
        _ event: SpanEvent,
        at now: Moment,
        _ context: Context,
        _ output: inout Output
    ) {
        guard event.environments.allSatisfy({ $0 == environment }) else {
            return reject(event, .otherEnvironment, &output)
        }
        var event = event
        event.claim.settleHost(context)
        event.settleName(context)
        event.claimant = claimant(event.claim, context)
        let mayNotSpeak = admit(&event, context)
        // Names that telemetry makes up take nobody's room: what is said of them counts for none of them.
        if !event.operation.isAround, let named = event.claimant, context.routes[named] == nil {
            event.claimant = Self.nobody
        }
        let isWeak = event.isWeakRun(context)
        if event.operation.isAround, !isWeak {
            guard traces[event.key]?.links[event.span] == nil else { return }
        } else {
            guard seen.insert(SeenWindow.key(event.trace, event.span, folder: event.key.folder)) else {
                return reject(event, .duplicate, &output)
            }
        }
        let time = SpanTime(of: event, read: now, limits)
        if time.problem == .stale { return reject(event, .stale, &output) }
        if mayNotSpeak == nil, let run = gatewayRun(of: event, context) {
            if let problem = time.problem { reject(event, problem, &output) }
            return addGatewayCall(event, run, time, context, &output)
        }
        open(event.key, share: share(of: event.claimant, context), at: now, &output)
        if let mayNotSpeak {
            reject(event, mayNotSpeak, &output)
            refuse(event, time, context, &output)
            return
        }
        noteGateway(of: event, context)
        add(event, isWeak: isWeak, time, context, &output)
    }

    /// Takes a span that may speak for its agent, by what it is of.
    private mutating func add(
        _ event: SpanEvent,
        isWeak: Bool,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) {
        switch event.operation {
        case .run:
            addRun(event, isWeak: false, time, context, &output)
        case .call(let call):
            if let problem = time.problem { reject(event, problem, &output) }
            if event.hasUnusableArguments { output.rejections.add(.unusableArguments) }
            addCall(call, event, time, context, &output)
        case .inference:
            if let problem = time.problem { reject(event, problem, &output) }
            addInference(event, time, context, &output)
        case .workflow, .other:
            if isWeak {
                addRun(event, isWeak: true, time, context, &output)
            } else {
                link(event, time, context, &output)
            }
        }
        if event.operation != .run, !event.evaluations.isEmpty {
            for evaluation in event.evaluations {
                add(evaluation, event.key, event.span, at: time.read, &output)
            }
        }
    }

    /// - Parameter share: Whose room it takes if it is in no folder; 0 while that is not known.
    mutating func open(_ key: TraceKey, share: UInt64, at now: Moment, _ output: inout Output) {
        let share = key.folder != 0 ? key.folder : share
        if let trace = traces[key] {
            guard trace.spanCount >= limits.spansOfTrace else {
                traces.touch(key, share: share, at: now)
                return
            }
            output.rejections.add(.evicted)
            close(key, &output)
        }
        traces.open(key, share: share, at: now)
        makeRoom(&output)
    }

    /// Counts why something does not count.
    func reject(_ event: SpanEvent, _ reason: Rejection, _ output: inout Output) {
        output.rejections.add(reason)
        if explains { output.fates.append((event.spanKey, .rejected(reason))) }
    }

    /// Notes whose child a span is, and moves what was collected for it upwards.
    mutating func link(
        _ event: SpanEvent,
        as link: OpenTrace.Link? = nil,
        _ time: SpanTime,
        _ context: Context,
        _ output: inout Output
    ) {
        var activities: [Activity] = []
        var evaluated: (run: Run, evaluations: [Evaluation])?
        var arrival = OpenTrace.Arrival()
        traces.change(event.key) { trace in
            var link = link ?? OpenTrace.Link(parent: event.parent ?? 0)
            // With a bundle that came in too, whoever asked is its agent.
            link.isEntry = event.isEntry && event.claim.bundle == nil
            if link.isWork { trace.demoteWaiting(for: event.span) }
            guard let joined = trace.attach(event.span, link) else { return }
            if link.isWork { trace.groups[joined.root, default: Group()].note(start: event.start) }
            let around = link.isBarrier ? .none : trace.enclosure(below: trace.links[event.span]?.parent ?? 0)
            let nesting = trace.nest(joined.tops, in: around)
            for pair in nesting.pairs { trace.tellOnce(pair) }
            trace.tell(joined, nesting, at: time.end, context, &activities)
            arrival = trace.arrived(event.span)
            trace.tell(grown: arrival, at: time.end, &activities)
            evaluated = trace.groups[joined.root]?.takeEvaluations()
        }
        output.activities += activities
        tell(evaluated, &output)
        take(arrival, in: event.key, at: time.read, &output)
    }

    // MARK: - Whose it is

    /// The agent that a claim names, if it has a route.
    mutating func agent(_ claim: Claim, _ context: Context) -> AgentID? {
        claimant(claim, context).flatMap { context.routes[$0] != nil ? $0 : nil }
    }

    /// The agent that a claim is about, one with a route or not; nil if it is about none, or a framework's own part.
    ///
    /// A bundle belongs to one agent, whatever somebody calls it. Only without a known one names are asked.
    mutating func claimant(_ claim: Claim, _ context: Context) -> AgentID? {
        if let owner = claim.bundle.flatMap({ context.owners[$0] }) { return owner }
        guard let name = claim.name else { return nil }
        if let known = known[name] { return known }
        guard let agent = AgentID(name) else { return nil }
        // Names that telemetry makes up are not kept.
        guard context.routes[agent] != nil else { return agent }
        if known.count > 100_000 { known = [:] }
        known[name] = agent
        return agent
    }

    /// Whether a claim names one agent for certain, and the bundle of another one.
    func isContradiction(_ claim: Claim, _ context: Context) -> Bool {
        guard let named = claim.named, let owner = claim.bundle.flatMap({ context.owners[$0] }) else { return false }
        return owner.description != named
    }

    /// Whose room a trace takes when a span of this agent joins it: of those that have a route.
    mutating func share(of claimant: AgentID?, _ context: Context) -> UInt64 {
        guard let claimant, context.routes[claimant] != nil else { return 0 }
        if let known = shares[claimant] { return known }
        if shares.count > 100_000 { shares = [:] }
        let share = TraceKey.folder(claimant)
        shares[claimant] = share
        return share
    }

    struct Unresolved: Error {
        let reason: Rejection
    }

    /// The target that a run counts for: the one with its bundle, else, without a bundle, the only one with its version.
    func resolve(_ claim: Claim, _ agent: AgentID, _ context: Context) -> Result<Digest, Unresolved> {
        let targets = context.routes[agent]?.targets ?? []
        // Beside another name, a bundle that nobody knows says nothing.
        let isForeign = claim.source == .borrowed && claim.bundle.flatMap { context.owners[$0] } == nil
        if let bundle = claim.bundle, !isForeign {
            guard let target = targets.first(where: { bundle == $0.digest.description }) else {
                return .failure(Unresolved(reason: .unknownBundle))
            }
            return .success(target.digest)
        }
        let matching = targets.filter { $0.version.description == claim.version }
        guard let first = matching.first else { return .failure(Unresolved(reason: .unknownVersion)) }
        return matching.count == 1 ? .success(first.digest) : .failure(Unresolved(reason: .ambiguousVersion))
    }
}
