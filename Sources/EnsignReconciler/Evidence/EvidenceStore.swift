package import EnsignHost
import EnsignJSON
package import EnsignJudge
package import EnsignLedger
package import EnsignModel
import EnsignPlanner
import EnsignTelemetry

/// Where the judge keeps what it has counted, between runs. Without it, counting starts again.
package enum EvidenceStore {
    /// Beside the telemetry that was counted.
    case pipeline(TelemetryPipeline)
    /// Where there is no telemetry. Changed under the environment's lock.
    case file(StateFile<AnalysisState>)
    /// What was written down, for looking at it: nothing is kept.
    case memory(JSONValue)

    /// - Returns: Nil when there is telemetry that another process reads: it has the state too.
    package init?(_ site: Site, _ environment: String, _ telemetry: TelemetryPipeline?) throws {
        if let telemetry {
            self = .pipeline(telemetry)
        } else if try site.settings.telemetry(environment) == nil {
            self = .file(StateFile(site.files, environment))
        } else {
            return nil
        }
    }

    /// What a reconcile would find now, for looking at it: what was written down, and telemetry that came since. Nothing
    /// is changed.
    ///
    /// - Returns: The store; nil where it cannot be read now. And agents that the kill switch is about to stop, in
    ///   sentences.
    static func looking(_ site: Site, _ environment: String) throws -> (store: EvidenceStore?, stops: [String]) {
        guard try site.settings.telemetry(environment) != nil else {
            return (.memory(StateFile<AnalysisState>(site.files, environment).known()?.json ?? .null), [])
        }
        do {
            guard let pipeline = try TelemetryPipeline.glance(site, environment) else { return (nil, []) }
            let (isComplete, trips) = try pipeline.glance(TelemetryBook(site: site, environment: environment))
            let behind = isComplete ? [] : ["telemetry is behind: what was read so far counts here"]
            return (
                .pipeline(pipeline), trips.map { "the kill switch stops \($0.agent) first: \($0.sentence)" } + behind
            )
        } catch {
            return (nil, ["telemetry was not read: \(error)"])
        }
    }

    /// The state as it is now; null when there is none, or none that can be read.
    var state: JSONValue {
        switch self {
        case .pipeline(let pipeline): pipeline.consumerState
        case .file(let file): file.known()?.json ?? .null
        case .memory(let state): state
        }
    }

    /// What stable versions did before, by agent; nil where there is no telemetry.
    var traffic: ((AgentID) -> Traffic?)? {
        guard case .pipeline(let pipeline) = self else { return nil }
        return { pipeline.traffic(of: $0) }
    }

    /// Changes the state together with the samples that it takes up.
    ///
    /// - Throws: ``SystemError`` when the new state could not be kept; `body` has run.
    func update(_ body: (_ samples: [Sample], _ state: inout JSONValue) -> Void) throws {
        switch self {
        case .pipeline(let pipeline): pipeline.consume(body)
        case .memory(var state): body([], &state)
        case .file(let file):
            let before = state
            var after = before
            body([], &after)
            guard after != before else { return }
            if after.isNull { return try file.remove() }
            try file.write(AnalysisState(json: after))
        }
    }

    /// What some process has written down, for looking at it.
    package struct Kept: Sendable {
        var state: JSONValue
        /// What was rejected on the way.
        package var rejections: JSONValue?
        /// That samples of canaries were lost, in a sentence; nil when none were.
        package var dropped: String?
        /// Costs by the price of bundles' own models.
        private var fallbacks: JSONValue?
        /// The state of the guards of stable versions.
        package var guards = GuardBook()

        /// From a pipeline's checkpoint; its part about the reader is ignored.
        fileprivate init(_ contents: StateContents) {
            state = contents["consumer"] ?? .null
            rejections = contents["attribution"]?["rejections"]
            fallbacks = contents["attribution"]?["fallbacks"]
            dropped = TelemetryCheckpoint.sentence(dropped: contents["dropped"]?.int ?? 0)
            guards = contents["guards"].flatMap { GuardBook(json: $0) } ?? GuardBook()
        }

        fileprivate init(state: JSONValue) { self.state = state }

        /// That costs of an agent are by its bundles' own models, in a sentence; nil when none are.
        package func pricedSentence(_ agent: AgentID) -> String? {
            guard let entry = FallbackPrices(json: fallbacks).agents[agent] else { return nil }
            let what =
                entry.model.isEmpty
                ? "a model that is not named" : "\(entry.model.quoted(utf8: 200)), which has no price"
            return "cost: tokens of \(counted(entry.count, "span", "spans")) are priced as the bundle's own model: "
                + "telemetry names \(what) (fleet/prices.yaml)"
        }
    }

    /// - Returns: Nil when there is nothing.
    package static func kept(_ site: Site, _ environment: String) throws -> Kept? {
        guard (try? site.settings.telemetry(environment)) != .some(nil) else {
            return StateFile<AnalysisState>(site.files, environment).known().map { Kept(state: $0.json) }
        }
        return (try? StateFile<TelemetryCheckpoint>(site.files, environment).contents()).map(Kept.init)
    }
}

/// What the judge has counted, kept here where there is no telemetry.
package struct AnalysisState: Hashable, Sendable {
    package var json: JSONValue

    package init(json: JSONValue) { self.json = json }
}

extension AnalysisState: StateValue {
    package static let kind = StateKind(
        "state/<env>/analysis",
        .memory,
        limit: 1 << 28,
        isDurable: true,
        formerly: "cache/<env>/analysis"
    )

    package init?(_ contents: StateContents) {
        guard let json = contents["judge"] else { return nil }
        self.init(json: json)
    }

    /// Of 0.1.0: the judge's state alone.
    package init?(former bytes: [UInt8]) {
        guard let json = try? JSONParser.parse(bytes) else { return nil }
        self.init(json: json)
    }

    package var contents: StateContents { StateContents(["judge": json]) }
}
