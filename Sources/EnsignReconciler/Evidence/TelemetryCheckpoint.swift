import EnsignJudge
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTelemetry

/// What must agree so that each span counts once, and so is kept together: how far reading came, what is open, what the
/// rules have counted, samples that nobody took yet, and the consumer's own state.
struct TelemetryCheckpoint: Sendable {
    var environment: String
    /// As it was when this was kept: the reader has the present one.
    var cursor = TelemetryCursor()
    var attribution: Attribution
    var killSwitch = KillSwitch()
    /// As they were made.
    private(set) var samples: [Sample] = []
    /// How many of them, from the front, were made before reading fell behind. Not kept: whoever goes on after a restart
    /// has them all from before.
    private var settled: Int?
    /// Samples that nobody took in time.
    private(set) var dropped: Int64 = 0
    var consumer: JSONValue = .null
    var guards = GuardBook()
    /// Drifts that the ledger does not have yet, oldest first.
    var drifts: [BehaviourDrift] = []
    /// What would have been refused of agents that are only observed.
    var observed = ObservationBook()

    /// Samples that wait for a consumer; beyond it the oldest go.
    private static let maxSamples = 100_000
    /// Of a fleet that drifts as a whole, the first thousands are reported.
    private static let maxDrifts = 10_000

    init(environment: String) {
        self.environment = environment
        attribution = Attribution(environment: environment)
    }

    /// Keeps samples for the consumer. When there are too many, those of the oldest runs go, whatever file they are from.
    mutating func keep(_ new: [Sample]) {
        samples += new
        let spare = samples.count - Self.maxSamples
        guard spare > 0 else { return }
        samples = Array(samples.inOrderOfTime.dropFirst(spare))
        if settled != nil { settled = samples.count }
        dropped = dropped.adding(saturating: Int64(spare))
    }

    /// Lets samples that are made from now on wait, until ``release()``.
    mutating func hold() { settled = settled ?? samples.count }

    mutating func release() { settled = nil }

    /// Takes the samples that wait for nothing.
    mutating func takeSamples() -> [Sample] {
        let count = settled ?? samples.count
        defer {
            samples.removeFirst(count)
            if settled != nil { settled = 0 }
        }
        return Array(samples.prefix(count))
    }

    /// That samples were lost, in a sentence; nil when none were.
    var droppedSentence: String? { Self.sentence(dropped: dropped) }

    static func sentence(dropped: Int64) -> String? {
        guard dropped > 0 else { return nil }
        return "\(counted(dropped, "sample")) of canaries left before a reconcile took "
            + "\(dropped == 1 ? "it" : "them"): only \(maxSamples) may wait; reconcile more often"
    }

    mutating func add(_ drift: BehaviourDrift) {
        drifts.append(drift)
        if drifts.count > Self.maxDrifts { drifts.removeFirst() }
    }
}

extension TelemetryCheckpoint: StateValue {
    static let kind = StateKind(
        "state/<env>/telemetry",
        .memory,
        limit: 1 << 28,
        isDurable: true,
        formerly: "cache/<env>/telemetry"
    )

    /// Nil when any part cannot be read: parts that do not fit each other would count twice, or not at all.
    init?(_ contents: StateContents) {
        guard let environment = contents["environment"]?.string,
            let cursor = contents["cursor"].flatMap({ TelemetryCursor(json: $0) }),
            let attribution = contents["attribution"].flatMap({ Attribution(json: $0) }),
            attribution.environment == environment,
            let killSwitch = contents["killSwitch"].flatMap({ KillSwitch(json: $0) }),
            let values = contents["samples"]?.array, let dropped = contents["dropped"]?.int,
            let consumer = contents["consumer"],
            // Files of versions without guards, and without observation, have neither.
            let guards = contents["guards"].map({ GuardBook(json: $0) }) ?? GuardBook(),
            let observed = contents["observed"].map({ ObservationBook(json: $0) }) ?? ObservationBook()
        else { return nil }
        self.init(environment: environment)
        samples = values.compactMap { Sample(json: $0, environment: environment) }
        guard samples.count == values.count else { return nil }
        (self.cursor, self.attribution, self.killSwitch) = (cursor, attribution, killSwitch)
        (self.dropped, self.consumer, self.guards) = (dropped, consumer, guards)
        self.observed = observed
        drifts = (contents["drifts"]?.array ?? []).compactMap { BehaviourDrift(json: $0) }
    }

    var contents: StateContents {
        StateContents([
            "environment": .string(environment), "cursor": cursor.json, "attribution": attribution.json,
            "killSwitch": killSwitch.json, "samples": .array(samples.map(\.json)), "dropped": .integer(dropped),
            "consumer": consumer, "guards": guards.json, "drifts": .array(drifts.map(\.json)),
            "observed": observed.json,
        ])
    }
}

extension Sample {
    fileprivate var json: JSONValue {
        [
            .string(agent.description), .string(bundle.hex), .string(metric.description), JSONValue(value),
            occurred.map { .bool($0) } ?? .null, .integer(time.nanoseconds), .integer(started.nanoseconds),
            session.map { .integer(Int64(bitPattern: $0)) } ?? .null,
        ]
    }

    fileprivate init?(json: JSONValue, environment: String) {
        guard let agent = json[0]?.string.flatMap({ AgentID($0) }),
            let bundle = json[1]?.string.flatMap({ Digest(hex: $0) }),
            let metric = json[2]?.string.flatMap({ MetricName($0) }), let value = json[3]?.double,
            let occurred = json[4], let time = json[5]?.int, let started = json[6]?.int
        else { return nil }
        var happened: Bool?
        if !occurred.isNull {
            guard let flag = occurred.bool else { return nil }
            happened = flag
        }
        self.init(
            agent: agent,
            environment: environment,
            bundle: bundle,
            metric: metric,
            value: value,
            occurred: happened,
            time: Moment(nanoseconds: time),
            started: Moment(nanoseconds: started),
            session: json[7]?.int.map { UInt64(bitPattern: $0) }
        )
    }
}
