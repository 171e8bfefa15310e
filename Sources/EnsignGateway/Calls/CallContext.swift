import EnsignModel
import EnsignPolicy

/// One call on its way: who makes it, in which run, and what is known of it so far.
struct CallContext: Sendable {
    let call: IncomingCall
    let agent: AgentID
    let principal: String?
    private(set) var run: RunName
    /// The session's key, as the client says it now.
    private(set) var key: String
    /// The key of a run that nobody has named: empty for none; nil where somebody has.
    let window: String?
    let trace: TraceContext
    /// Nanoseconds since 1970.
    let start: Int64
    let asker: Asker?
    /// Whom `_meta` names besides: agrees to it as little.
    let otherAsker: Asker?
    /// Why its message cannot be passed on, whatever is granted: nil for all others.
    var defect: Refusal?
    /// What an operator must know of it.
    var note: String?
    private let macs = Decision.MACs()

    // What is found out on the way.
    private(set) var bundle: PreparedBundle?
    /// What the route gives now, where that is another bundle than the run's.
    private(set) var present: Digest?
    private(set) var entry: Int64?
    /// The places of its arguments whose values the grants keep in clear; empty as long as none is known.
    private(set) var places: [JSONPointer] = []
    /// Whether it counts among the agent's calls that are made at the same time.
    var hasPlace = false
    /// What it is known by to whoever asks for the same one; nil until it may be made.
    var flight: SingleFlight.Key?
    /// When the route was read that the decision is by.
    var looked: ContinuousClock.Instant?
    /// `TOOL.OPERATION`; what the client wrote where it is none.
    var operation: String

    /// Takes note of what decides: the run's bundle, and the one that an entry's route gives now.
    mutating func isDecided(by run: PreparedBundle, _ present: PreparedBundle, of entry: Int64) {
        bundle = run
        self.present = present.digest == run.digest ? nil : present.digest
        self.entry = entry
    }

    /// Takes note of what both bundles say of its operation.
    mutating func isGranted(by granted: Granted) {
        places = Set(granted.all.flatMap(\.record)).sorted()
    }

    /// The values that are kept in clear. Of a message that cannot be passed on nothing is: a number in it may be another one.
    var recorded: [(pointer: String, value: JSONValue)] {
        guard defect == nil else { return [] }
        return places.recorded(of: call.arguments)
    }

    /// Takes note of what its agent was stopped by, and of the run that had begun.
    mutating func isHalted(by entry: Int64?, _ run: PreparedBundle?) {
        if let run { bundle = run }
        present = nil
        self.entry = entry
    }

    /// Takes it for a call of an earlier run of ten minutes, in which people are asked for it.
    mutating func belongs(to run: String) {
        if key == self.run.name { key = run }
        self.run = RunName(run, .window)
    }

    /// What is counted of it.
    var counting: RunBook.Entry {
        RunBook.Entry(
            agent: agent,
            run: run.name,
            operation: operation,
            arguments: call.arguments,
            askers: [asker, otherAsker].flatMap { $0.map { [$0.issuer, $0.subject, $0.email ?? ""] } ?? [""] },
            window: window
        )
    }

    /// A line of the log about this call.
    func decision(_ kind: Decision.Kind) -> Decision {
        var decision = Decision(kind, agent: agent)
        decision.version = bundle?.bundle.version
        decision.bundle = bundle?.digest
        decision.present = present
        decision.entry = entry
        decision.run = run
        decision.key = key
        decision.asked = asker.map { Decision.Asked(issuer: $0.issuer, subject: $0.subject) }
        decision.operation = operation
        decision.arguments = call.arguments
        decision.macs = macs
        decision.trace = trace.trace
        decision.note = note
        return decision
    }
}

/// What both bundles say of one operation, looked up once.
struct Granted: Sendable {
    /// What the route gives now.
    let now: BundleOperation?
    /// What the run began with.
    let then: BundleOperation?

    init(_ tool: String, _ name: String, run: PreparedBundle, present: PreparedBundle) {
        now = present.bundle.operation(tool, name)
        then = run.digest == present.digest ? now : run.bundle.operation(tool, name)
    }

    var all: [BundleOperation] { [now, then].compactMap { $0 } }
}

/// What was known of a run and its agent when a call was counted: whoever decides again counts nothing twice.
struct Counted: Sendable {
    var progress: RunProgress
    /// The conditions that were looked up, fulfilled or not.
    var conditions: Set<Precondition>

    /// Whether everything was looked up that an operation's grants ask for.
    func covers(_ granted: Granted) -> Bool {
        granted.all.allSatisfy { operation in
            conditions.isSuperset(of: operation.after)
                && operation.rate.map { progress.calls[$0.period] != nil } ?? true
        }
    }
}

/// A call that may be made.
struct Ruling: Sendable {
    var run: PreparedBundle
    var present: PreparedBundle
    /// The key that chose the present bundle.
    var key: String
    var tool: String
    var name: String
    var granted: Granted
    var approval: Approval
    /// Why it would have been refused; nil where it is allowed.
    var wouldRefuse: Refusal?
    /// Nil where nothing could be counted.
    var counted: Counted?

    /// As the log says it, of the intent and of what came of it.
    var verdict: Decision.Verdict { wouldRefuse == nil ? .allowed : .wouldRefuse }

    /// Whether people must agree before it is made.
    var asks: Bool { asked != .none }
    /// Who must.
    var asked: Approval { wouldRefuse == nil ? approval : .none }

    /// Whether it may be made twice, or changes nothing: by both bundles.
    var isRepeatable: Bool { both { $0.idempotent || $0.access == .read } }
    var onlyReads: Bool { both { $0.access == .read } }

    private func both(_ test: (BundleOperation) -> Bool) -> Bool {
        guard let now = granted.now, let then = granted.then else { return false }
        return test(now) && test(then)
    }

    /// The server's own name of the operation: the present bundle's, else the run's.
    var serverTool: String { granted.all.first?.serverTool ?? name }

    /// Why a result does not fit the output schema of one of both bundles; nil where it fits all that there are.
    func misfit(_ result: JSONValue) throws -> String? {
        if let misfit = try present.misfit(tool, name, result) { return misfit }
        return run.digest == present.digest ? nil : try run.misfit(tool, name, result)
    }

    /// From sending to the answer: the shorter one of both bundles.
    var timeout: Duration {
        let spans = granted.all.compactMap { $0.timeout?.milliseconds }
        return .milliseconds(spans.min() ?? 30_000)
    }
}

extension [JSONPointer] {
    /// The values at these places, as far as there are any.
    func recorded(of arguments: JSONValue) -> [(pointer: String, value: JSONValue)] {
        compactMap { place in place.value(in: arguments).map { (place.description, $0) } }
    }
}
