package import EnsignHost
import EnsignJSON
package import EnsignJudge
import EnsignLedger
package import EnsignModel
package import EnsignPlanner
import EnsignSystem
package import EnsignTelemetry
import Synchronization

/// Telemetry of one environment: read, attributed, judged by the kill switch, and kept for whoever wants the samples.
///
/// One process at a time has an environment's pipeline: the watch, or else a single reconcile. Everything that must agree
/// so that each span counts once stands in one file, `<git dir>/ensign/cache/<env>/telemetry`: how far was read, what is
/// open, what the rules have counted, samples that nobody took yet, and the consumer's own state.
package final class TelemetryPipeline: Sendable {
    package let environment: String
    private let path: String
    private let trafficPath: String
    private let readingPath: String
    private let halts: HaltSwitch
    private let mutex = Mutex(())
    /// Touched in ``guarded(_:)`` alone, while `mutex` is held.
    private nonisolated(unsafe) let box: Box
    private let writing = Mutex(())
    /// Held as long as this lives; nil for one that only looks: it stops nobody and writes nothing.
    private let lock: FileLock?

    /// Samples that wait for a consumer; beyond it the oldest go.
    fileprivate static let maxSamples = 100_000
    /// What happened longer ago is evidence for canaries, and no reason to stop an agent now.
    private static let oldestJudged: Int64 = 86_400 * 1_000_000_000
    private static let maxCheckpoint = 1 << 28

    fileprivate struct State: ~Copyable {
        var reader: TelemetryReader
        var attribution: Attribution
        var killSwitch: KillSwitch
        var samples: [Sample] = []
        var droppedSamples: Int64 = 0
        var consumer: JSONValue = .null
        var guards = GuardBook()
        /// Drifts that the ledger does not have yet, oldest first.
        var drifts: [BehaviourDrift] = []
        var traffic = TrafficBook()
        /// Whose samples are kept; nil for agents with a canary under way.
        var interest: (@Sendable (AgentID) -> Bool)?
        /// Agents of which an alarm was raised, until they are resumed.
        var alarmed: Set<AgentID> = []
        /// Stops that could not be remembered: nothing may be checkpointed that has forgotten them.
        var unremembered: [HaltRecord] = []
        var reading = TelemetryReading(time: Moment(nanoseconds: 0), unreadFiles: 0, problems: [])
        var behindSince: Moment?
        /// What the file says now.
        var writtenReading: TelemetryReading?
        var isDirty = false
        var isFresh = true
    }

    private final class Box {
        var state: State
        init(_ state: consuming State) { self.state = state }
    }

    private func guarded<Result: Sendable>(_ body: (inout State) throws -> Result) rethrows -> Result {
        try mutex.withLock { _ in try body(&box.state) }
    }

    /// What one step came to.
    package struct Step: Sendable {
        package var trips: [KillSwitch.Trip] = []
        /// What stopping the agents of these trips came to.
        package var effect: HaltSwitch.Effect?
        /// Halted agents that were seen to act, for the first time.
        package var alarms: [AgentID] = []
        /// Stable versions that are no longer what they were.
        package var drifts: [BehaviourDrift] = []
        /// Whether everything that is there was read.
        package var isComplete = true
        package var lines = 0
        /// Files that are not read because there are too many; nil when not all were looked at.
        package var unreadFiles: Int?
        /// How far behind it is, where that lasts.
        package var behind: TelemetryReading.Behind?
        /// Folders of telemetry that bind nobody though they look so.
        package var problems: [String] = []
        /// When time alone makes samples.
        package var nextDue: Moment?
    }

    /// Opens the pipeline of an environment.
    ///
    /// - Returns: nil when no telemetry is configured, or when another process has it open.
    package static func open(_ site: Site, _ environment: String) throws -> TelemetryPipeline? {
        guard let directory = try site.settings.telemetry(environment) else { return nil }
        let path = site.files.telemetry(environment)
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        do throws(SystemError) {
            let lock = try FileLock(path + ".lock", timeout: .zero)
            return try TelemetryPipeline(site, environment, directory, path, consume lock)
        } catch {
            guard error.isBusy else { throw error }
            return nil
        }
    }

    /// A copy that goes on from what was written down, for looking at what is to come. The original is not touched.
    ///
    /// - Returns: nil when no telemetry is configured.
    static func glance(_ site: Site, _ environment: String) throws -> TelemetryPipeline? {
        guard let directory = try site.settings.telemetry(environment) else { return nil }
        return try TelemetryPipeline(site, environment, directory, site.files.telemetry(environment), nil)
    }

    private init(
        _ site: Site,
        _ environment: String,
        _ directory: String,
        _ path: String,
        _ lock: consuming FileLock?
    ) throws(SystemError) {
        self.environment = environment
        self.path = path
        self.lock = lock
        trafficPath = site.files.traffic(environment)
        readingPath = site.files.telemetryReading(environment)
        do { halts = try HaltSwitch(site, environment) } catch {
            throw SystemError(code: 22, operation: "use the target of '\(environment)'")
        }
        let saved = Checkpoint(try Files.readOwn(path, limit: Self.maxCheckpoint), environment)
        box = Box(
            State(
                reader: TelemetryReader(directory: directory, cursor: saved?.cursor ?? TelemetryCursor()),
                attribution: saved?.attribution ?? Attribution(environment: environment),
                killSwitch: saved?.killSwitch ?? KillSwitch(),
                samples: saved?.samples ?? [],
                droppedSamples: saved?.dropped ?? 0,
                consumer: saved?.consumer ?? .null,
                guards: saved?.guards ?? GuardBook(),
                drifts: saved?.drifts ?? [],
                // Without the rest everything is read again, and would be counted twice.
                traffic: saved == nil ? TrafficBook() : TrafficBook(TrafficFile.read(trafficPath))
            )
        )
    }

    /// The folders whose changes mean new telemetry.
    package var foldersToWatch: [String] { guarded { $0.reader.foldersToWatch } }

    package var directory: String { guarded { $0.reader.directory } }

    // MARK: Reading

    /// Reads what is new and stops agents that break a rule, before anything else is done with it.
    ///
    /// - Parameters:
    ///   - book: The caller's own; see ``TelemetryBook``. It is refreshed here when `refreshing`.
    ///   - changed: Names that inotify reported, below the directory; nil looks at everything.
    /// - Throws: When the directory cannot be listed, or an agent could not be stopped.
    package func step(
        _ book: TelemetryBook,
        changed: Set<String>? = nil,
        refreshing: Bool = true,
        now: Moment = Moment(nanoseconds: Machine.nanoseconds)
    ) throws -> Step {
        let resumed = refreshing ? book.refresh() : [:]
        let pending = book.pendingHalts()
        return try guarded { state throws -> Step in
            for (agent, until) in resumed { state.resume(agent, until: until) }
            if state.isFresh { Self.reconsider(&state, book, pending, now) }
            var step = Step()
            let batch = try state.reader.read(changed: changed)
            step.isComplete = batch.isComplete
            step.lines = batch.lines
            step.unreadFiles = batch.unreadFiles
            state.note(batch, now)
            step.behind = state.reading.behind
            step.problems = state.reading.problems
            for event in batch.events {
                switch event {
                case .span(let span):
                    span.claim.agent.map(book.load)
                    span.folder.map { book.load($0.description) }
                case .evaluation(let evaluation): evaluation.claim.agent.map(book.load)
                }
            }
            let context = Attribution.Context(routes: book.routes, prices: book.prices, bound: batch.bound)
            let output = state.attribution.add(batch, at: now, context)
            if batch.bytes > 0 || !output.samples.isEmpty { state.isDirty = true }
            var records: [HaltRecord] = state.unremembered
            for activity in output.activities {
                Self.judge(activity, book, pending, now, &state, &step, &records)
            }
            for sample in output.samples {
                state.traffic.take(sample, stable: book.recorded(sample.agent)?.stable?.digest)
                Self.watch(sample, book, pending, now, &state, &step, &records)
            }
            let interest = state.interest
            state.keep(output.samples.filter { interest?($0.agent) ?? book.hasCanary($0.agent) })
            step.nextDue = state.attribution.nextDue
            guard !records.isEmpty else { return step }
            guard lock != nil else { return step }
            let stops = records.filter { $0.kind == .halt }
            let effect = try halts.pull(records)
            state.unremembered = effect.forgotten == nil ? [] : records
            if !stops.isEmpty { step.effect = effect }
            return step
        }
    }

    /// Reads everything that is there, as a single reconcile does.
    ///
    /// - Parameter limit: The time after which the rest is left to the next run.
    /// - Returns: Whether everything was read.
    package func catchUp(_ book: TelemetryBook, within limit: Duration = .seconds(20)) throws -> Bool {
        let deadline = ContinuousClock.now + limit
        var isFirst = true
        while true {
            let step = try step(book, changed: isFirst ? nil : [], refreshing: isFirst)
            isFirst = false
            if step.isComplete { return true }
            if ContinuousClock.now >= deadline { return false }
        }
    }

    /// Reads what is there, for a look.
    ///
    /// - Returns: Whether everything was read, and which agents broke a rule.
    func glance(_ book: TelemetryBook, within limit: Duration = .seconds(5)) throws -> (Bool, [KillSwitch.Trip]) {
        let deadline = ContinuousClock.now + limit
        var trips: [KillSwitch.Trip] = []
        var isFirst = true
        while true {
            let step = try step(book, refreshing: isFirst)
            isFirst = false
            trips += step.trips
            if step.isComplete { return (true, trips) }
            if ContinuousClock.now >= deadline { return (false, trips) }
        }
    }

    /// After a start: an agent that tripped and is not halted any more was resumed while nobody watched.
    private static func reconsider(
        _ state: inout State,
        _ book: TelemetryBook,
        _ pending: [HaltRecord],
        _ now: Moment
    ) {
        state.isFresh = false
        for agent in Set(state.killSwitch.tripped).union(state.guards.halted).sorted() {
            if pending.contains(where: { $0.scope.covers(agent) }) || book.haltedSince(agent) != nil { continue }
            let week = now.advanced(milliseconds: -7 * 86_400_000)
            state.resume(agent, until: book.lastResume(agent, after: week) ?? now)
        }
    }

    private static func judge(
        _ activity: Activity,
        _ book: TelemetryBook,
        _ pending: [HaltRecord],
        _ now: Moment,
        _ state: inout State,
        _ step: inout Step,
        _ records: inout [HaltRecord]
    ) {
        let agent = activity.agent
        if now.nanoseconds(since: activity.time) > oldestJudged { return }
        let stop = records.first { $0.kind == .halt && $0.scope == .agent(agent) }
        // In whole seconds, as the ledger will have it.
        let since =
            (stop ?? pending.first { $0.scope.covers(agent) })?.time.timestamp.end ?? book.haltedSince(agent)
        if let since {
            guard activity.time > since, !state.alarmed.contains(agent) else { return }
            state.alarmed.insert(agent)
            state.isDirty = true
            if book.isAlarmRecorded(agent) { return }
            step.alarms.append(agent)
            records.append(
                HaltRecord(
                    kind: .activity,
                    scope: .agent(agent),
                    reason: activity.kind.text,
                    by: killSwitchName,
                    time: activity.time
                )
            )
            return
        }
        let rules = book.killRules(agent)
        guard !rules.isEmpty else { return }
        var activity = activity
        var meaning: String??
        if case .call(var call) = activity.kind {
            meaning = book.meaning(of: call.tool, agent, activity.bundle)
            call.meaning = meaning ?? nil
            activity.kind = .call(call)
        }
        let trip = state.killSwitch.observe(activity, rules: rules) { _, _, _ in meaning.map { $0 != nil } }
        guard let trip else { return }
        state.isDirty = true
        if let resumed = book.lastResume(agent, after: trip.time) {
            // Read again after a crash: somebody has looked at this and let the agent go on.
            state.resume(agent, until: resumed)
            return
        }
        step.trips.append(trip)
        records.append(
            HaltRecord(
                scope: .agent(agent),
                reason: trip.sentence,
                by: killSwitchName,
                time: now,
                rule: trip.rule.text,
                observed: trip.observed
            )
        )
    }

    private static let killSwitchName = "kill-switch"

    /// Holds a sample of a stable version against what that version did when it became stable.
    private static func watch(
        _ sample: Sample,
        _ book: TelemetryBook,
        _ pending: [HaltRecord],
        _ now: Moment,
        _ state: inout State,
        _ step: inout Step,
        _ records: inout [HaltRecord]
    ) {
        let agent = sample.agent
        guard let version = book.guarded(agent), let drift = state.guards.take(sample, version) else { return }
        if let resumed = book.lastResume(agent, after: drift.time) {
            // Read again after a crash: somebody has looked at this and let the agent go on.
            state.guards.restart(agent, after: resumed)
            return
        }
        step.drifts.append(drift)
        state.drifts.append(drift)
        if state.drifts.count > maxDrifts { state.drifts.removeFirst() }
        let isStopped = (pending + records).contains { $0.kind == .halt && $0.scope.covers(agent) }
        guard drift.halts, !isStopped, book.haltedSince(agent) == nil else { return }
        records.append(HaltRecord(scope: .agent(agent), reason: drift.sentence, by: guardName, time: now))
    }

    static let guardName = "guard"
    /// Drifts that wait for the ledger; a fleet that drifts as a whole is told of by its first thousands.
    private static let maxDrifts = 10_000

    /// Drifts that the ledger does not have yet, oldest first.
    package var drifts: [BehaviourDrift] { guarded { $0.drifts } }

    package var hasDrifts: Bool { guarded { !$0.drifts.isEmpty } }

    /// Forgets drifts that are on record now, or need no record.
    package func settle(_ drifts: [BehaviourDrift]) {
        guarded { state in
            let settled = Set(drifts)
            state.drifts.removeAll { settled.contains($0) }
            state.isDirty = true
        }
    }

    // MARK: Samples

    /// Hands the samples over that came since the last time, and the consumer's own state to be changed with them.
    ///
    /// Both are checkpointed together: after a crash the consumer finds the state that fits the samples it gets then.
    /// When `body` throws, nothing was handed over.
    package func consume<Result: Sendable>(
        _ body: (_ samples: [Sample], _ store: inout JSONValue) throws -> Result
    ) rethrows -> Result {
        try guarded { state in
            var store = state.consumer
            let result = try body(state.samples, &store)
            if !state.samples.isEmpty || store != state.consumer { state.isDirty = true }
            state.consumer = store
            state.samples = []
            return result
        }
    }

    /// The consumer's own state as it is now, for looking at it.
    package var consumerState: JSONValue { guarded { $0.consumer } }

    /// Sets whose samples are kept for the consumer from now on; before, those of agents with a canary under way are.
    package func keepSamples(of interest: @escaping @Sendable (AgentID) -> Bool) {
        guarded { $0.interest = interest }
    }

    /// All that was ever rejected, and samples that nobody took in time.
    package var losses: (rejections: Rejections, samples: Int64) {
        guarded { ($0.attribution.rejections, $0.droppedSamples) }
    }

    /// That files are not read, in a sentence; nil when all are.
    package var unreadSentence: String? { guarded { Self.sentence(unread: $0.reading.unreadFiles) } }

    package static func sentence(unread count: Int) -> String? {
        guard count > 0 else { return nil }
        let files = count == 1 ? "1 file is" : "\(count) files are"
        return
            "telemetry: \(files) not read (more than \(TelemetryReader.most)); the kill switch does not see them"
    }

    // MARK: Checkpoints

    /// Writes how far it has come, where that is news.
    ///
    /// When reading falls behind or has caught up, and once a second in between: what is not news waits for the checkpoint.
    package func report() throws {
        guard lock != nil else { return }
        let reading = guarded { state -> TelemetryReading? in
            let written = state.writtenReading
            let isNews = (written?.behind == nil) != (state.reading.behind == nil)
            let age = state.reading.time.nanoseconds(since: written?.time ?? Moment(nanoseconds: .min))
            guard isNews || state.reading.behind != nil && age >= 1_000_000_000 else { return nil }
            state.writtenReading = state.reading
            return state.reading
        }
        try reading?.write(readingPath)
    }

    /// Writes what is needed to go on, if anything happened since. Copies under the lock, encodes and writes outside.
    package func checkpoint() throws {
        guard lock != nil else { return }
        try writing.withLock { _ in
            let copy = guarded { state -> Checkpoint? in
                guard state.isDirty, state.unremembered.isEmpty else { return nil }
                state.isDirty = false
                return Checkpoint(
                    cursor: state.reader.cursor,
                    attribution: state.attribution,
                    killSwitch: state.killSwitch,
                    samples: state.samples,
                    dropped: state.droppedSamples,
                    consumer: state.consumer,
                    guards: state.guards,
                    drifts: state.drifts,
                    traffic: state.traffic,
                    reading: state.reading
                )
            }
            guard let copy else { return }
            do {
                try Files.replace(path, with: copy.json(environment).canonicalBytes() + [0x0A])
                // Summaries that lag behind after a crash are as good.
                try Files.replace(trafficPath, with: TrafficFile.bytes(copy.traffic), durable: false)
                if let reading = copy.reading { try reading.write(readingPath) }
                guarded { $0.writtenReading = copy.reading }
            } catch {
                guarded { $0.isDirty = true }
                throw error
            }
        }
    }

    /// What stands in the file.
    fileprivate struct Checkpoint: Sendable {
        var cursor: TelemetryCursor
        var attribution: Attribution
        var killSwitch: KillSwitch
        var samples: [Sample]
        var dropped: Int64
        var consumer: JSONValue
        var guards: GuardBook
        var drifts: [BehaviourDrift]
        /// In files of their own.
        var traffic = TrafficBook()
        var reading: TelemetryReading?

        func json(_ environment: String) -> JSONValue {
            [
                "v": 1, "environment": .string(environment), "cursor": cursor.json, "attribution": attribution.json,
                "killSwitch": killSwitch.json, "samples": .array(samples.map(\.json)), "dropped": .integer(dropped),
                "consumer": consumer, "guards": guards.json, "drifts": .array(drifts.map(\.json)),
            ]
        }

    }
}

extension TelemetryPipeline.Checkpoint {
    /// Nil when any part cannot be read: parts that do not fit each other would count twice, or not at all.
    init?(_ bytes: [UInt8]?, _ environment: String) {
        guard let bytes, let json = try? JSONParser.parse(bytes), json["v"]?.int == 1,
            json["environment"]?.string == environment,
            let cursor = json["cursor"].flatMap({ TelemetryCursor(json: $0) }),
            let attribution = json["attribution"].flatMap({ Attribution(json: $0) }),
            attribution.environment == environment,
            let killSwitch = json["killSwitch"].flatMap({ KillSwitch(json: $0) }),
            let values = json["samples"]?.array, let dropped = json["dropped"]?.int, let consumer = json["consumer"]
        else { return nil }
        let samples = values.compactMap { Sample(json: $0, environment: environment) }
        guard samples.count == values.count else { return nil }
        // A file of a version without guards has neither.
        guard let guards = json["guards"].map({ GuardBook(json: $0) }) ?? GuardBook() else { return nil }
        self.init(
            cursor: cursor,
            attribution: attribution,
            killSwitch: killSwitch,
            samples: samples,
            dropped: dropped,
            consumer: consumer,
            guards: guards,
            drifts: (json["drifts"]?.array ?? []).compactMap { BehaviourDrift(json: $0) }
        )
    }
}

extension TelemetryPipeline.State {
    /// Notes how far reading has come with a step.
    fileprivate mutating func note(_ batch: TelemetryBatch, _ now: Moment) {
        let before = reading
        reading.time = now
        if batch.bytes > 0 { reading.lastRead = now }
        if let unread = batch.unreadFiles { reading.unreadFiles = unread }
        reading.problems = reader.problems
        if batch.isComplete || batch.backlog.files == 0 {
            (behindSince, reading.behind) = (nil, nil)
        } else {
            let since = behindSince ?? now
            behindSince = since
            let lasts = now.nanoseconds(since: since) >= TelemetryReading.Behind.burst
            reading.behind = lasts ? TelemetryReading.Behind(backlog: batch.backlog, since: since) : nil
        }
        if reading.problems != before.problems || reading.unreadFiles != before.unreadFiles { isDirty = true }
    }

    fileprivate mutating func resume(_ agent: AgentID, until moment: Moment) {
        killSwitch.reset(agent, at: moment)
        guards.restart(agent, after: moment)
        alarmed.remove(agent)
        isDirty = true
    }

    fileprivate mutating func keep(_ new: [Sample]) {
        samples += new
        let spare = samples.count - TelemetryPipeline.maxSamples
        guard spare > 0 else { return }
        samples.removeFirst(spare)
        droppedSamples = droppedSamples.adding(saturating: Int64(spare))
    }
}

extension Activity.Kind {
    /// What a halted agent did.
    fileprivate var text: String {
        switch self {
        case .call(let call):
            "it called \(call.tool.quoted(utf8: 80))"
        case .spent(let dollars): "it spent \(dollars) USD"
        case .steps(let count): "a run of it made \(count) calls"
        case .ran: "a run of it ended"
        }
    }
}

extension KillRule {
    /// As manifests write it.
    package var text: String {
        switch self {
        case .spend(let limit, let window): "spend: \(limit), within: \(window)"
        case .repeatedCall(let count, let window): "repeatedCall: \(count), within: \(window)"
        case .deniedCalls(let count, let window): "deniedCalls: \(count), within: \(window)"
        case .steps(let count): "steps: \(count)"
        case .unknownTool(let count): "unknownTool: \(count)"
        }
    }
}

extension Sample {
    fileprivate var json: JSONValue {
        [
            .string(agent.description), .string(bundle.hex), .string(metric.description), JSONValue(value),
            occurred.map { .bool($0) } ?? .null, .integer(time.nanoseconds), .integer(started.nanoseconds),
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
            started: Moment(nanoseconds: started)
        )
    }
}
