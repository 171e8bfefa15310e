package import EnsignHost
package import EnsignJudge
import EnsignLedger
package import EnsignModel
package import EnsignPlanner
import EnsignPolicy
import EnsignSystem
import EnsignTelemetry
import Synchronization

/// Telemetry of one environment: read, attributed, judged by ``HaltPolicy``, and kept for whoever wants the samples.
///
/// One process at a time has an environment's pipeline: the watch, or else a single reconcile. Everything that must agree
/// is kept in one file, ``TelemetryCheckpoint``.
package final class TelemetryPipeline: Sendable {
    package let environment: String
    package let directory: String
    private let file: StateFile<TelemetryCheckpoint>
    private let trafficFile: StateFile<TrafficBook>
    private let readingFile: StateFile<TelemetryReading>
    private let observedFile: StateFile<ObservationBook>
    private let files: LedgerFiles
    private let halts: HaltSwitch
    private let mutex = Mutex(())
    /// Not a `Mutex<TelemetryState>`: the reader has folders open, which are for one thread at a time and so not
    /// Sendable, and the compiler cannot tell apart what a step does with them and with the caller's book. Only
    /// ``guarded(_:)`` touches it, while `mutex` is held.
    private nonisolated(unsafe) let box: Box
    private let writing = Mutex(())
    /// Held as long as this lives; nil for one that only looks: it stops nobody and writes nothing.
    private let lock: FileLock?

    private final class Box {
        var state: TelemetryState
        init(_ state: consuming TelemetryState) { self.state = state }
    }

    private func guarded<Result: Sendable>(_ body: (inout TelemetryState) throws -> Result) rethrows -> Result {
        try mutex.withLock { _ in unsafe try body(&box.state) }
    }

    /// The result of one step.
    package struct Step: Sendable {
        package var trips: [KillSwitch.Trip] = []
        /// The result of stopping the agents of these trips.
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
        /// Folders of telemetry that look binding but are not.
        package var problems: [String] = []
        /// When time alone makes samples.
        package var nextDue: Moment?
    }

    /// Opens the pipeline of an environment.
    ///
    /// - Returns: nil when no telemetry is configured, or when another process has it open.
    package static func open(_ site: Site, _ environment: String) throws -> TelemetryPipeline? {
        guard let directory = try site.settings.telemetry(environment) else { return nil }
        let path = site.files.telemetryLock(environment)
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        let lock: FileLock
        do throws(SystemError) { lock = try FileLock(path, timeout: .zero) } catch {
            guard error.isBusy else { throw error }
            return nil
        }
        // A watch of an earlier release has it until that watch is restarted.
        guard try FileLock.isHeld(site.files.formerTelemetryLock(environment)) != true else { return nil }
        return try TelemetryPipeline(site, environment, directory, consume lock)
    }

    /// A copy that goes on from what was written down, for looking at what is to come. The original is not touched.
    ///
    /// - Returns: nil when no telemetry is configured.
    static func glance(_ site: Site, _ environment: String) throws -> TelemetryPipeline? {
        guard let directory = try site.settings.telemetry(environment) else { return nil }
        return try TelemetryPipeline(site, environment, directory, nil)
    }

    private init(_ site: Site, _ environment: String, _ directory: String, _ lock: consuming FileLock?) throws {
        let file = StateFile<TelemetryCheckpoint>(site.files, environment)
        let trafficFile = StateFile<TrafficBook>(site.files, environment)
        let kept = try file.read().flatMap { $0.environment == environment ? $0 : nil }
        (self.environment, self.directory) = (environment, directory)
        (self.file, self.trafficFile) = (file, trafficFile)
        readingFile = StateFile(site.files, environment)
        observedFile = StateFile(site.files, environment)
        let observed = lock == nil ? nil : observedFile.known()
        files = site.files
        halts = try HaltSwitch(site, environment)
        self.lock = lock
        unsafe box = Box(
            TelemetryState(
                reader: TelemetryReader(directory: directory, cursor: kept?.cursor ?? TelemetryCursor()),
                kept: kept ?? TelemetryCheckpoint(environment: environment),
                // Without the rest everything is read again, and would be counted twice.
                traffic: (kept == nil ? nil : trafficFile.known()) ?? TrafficBook(),
                // What an earlier release kept is brought to where it belongs now.
                isDirty: try file.hasFormer() || trafficFile.hasFormer()
            )
        )
        // The copy may lack what was written just before a crash.
        guarded { state in
            state.writtenObserved = observed
            if observed ?? ObservationBook() != state.kept.observed { state.isDirty = true }
        }
    }

    /// The folders whose changes mean new telemetry.
    package var foldersToWatch: [String] { guarded { $0.reader.foldersToWatch } }

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
            for (agent, until) in resumed { state.resume(agent, until: until.passed(by: now)) }
            var policy = HaltPolicy(book, pending: pending, now: now, records: state.unremembered)
            if state.isFresh { policy.reconsider(&state) }
            let batch = try state.reader.read(changed: changed)
            state.note(batch, now)
            state.forgetObserved(now)
            Self.judge(batch, book, now, &policy, &state)
            state.holdSamples(batch.isComplete, now)
            if batch.isComplete, state.reading.unreadFiles == 0 { state.uses.completed(Day(now)) }
            var step = Step(
                trips: policy.trips,
                alarms: policy.alarms,
                drifts: policy.drifts,
                isComplete: batch.isComplete,
                lines: batch.lines,
                unreadFiles: batch.unreadFiles,
                behind: state.reading.behind,
                problems: state.reading.problems,
                nextDue: state.kept.attribution.nextDue
            )
            guard !policy.records.isEmpty, lock != nil else { return step }
            let effect = try halts.pull(policy.records)
            state.unremembered = effect.forgotten == nil ? [] : policy.records
            if policy.records.contains(where: { $0.kind == .halt }) { step.effect = effect }
            return step
        }
    }

    /// Makes activities and samples of what was read, asks the policy about them, and keeps samples for the consumer.
    private static func judge(
        _ batch: TelemetryBatch,
        _ book: TelemetryBook,
        _ now: Moment,
        _ policy: inout HaltPolicy,
        _ state: inout TelemetryState
    ) {
        for event in batch.events {
            switch event {
            case .span(let span): book.load(span.claim, in: span.folder)
            case .evaluation(let evaluation): book.load(evaluation.claim, in: nil)
            }
        }
        let context = book.context(bound: batch.bound)
        let output = state.kept.attribution.add(batch, at: now, context)
        if batch.bytes > 0 || !output.samples.isEmpty { state.isDirty = true }
        for activity in output.activities {
            note(activity, book, &state)
            policy.judge(activity, &state)
            if case .call(let call) = activity.kind {
                state.traffic.take(call, of: activity.agent, at: activity.time)
            }
        }
        for ruling in output.rulings { state.note(ruling, book) }
        for sample in output.samples {
            state.traffic.take(sample, stable: book.recorded(sample.agent)?.stable?.digest)
            policy.watch(sample, &state)
        }
        state.kept.keep(output.samples.filter { book.isJudged($0.metric, of: $0.agent) })
    }

    /// Remembers what was called, and that there is telemetry of that day.
    private static func note(_ activity: Activity, _ book: TelemetryBook, _ state: inout TelemetryState) {
        let day = Day(activity.time)
        state.uses.happened(day)
        guard case .call(let call) = activity.kind,
            let meaning = book.meaning(of: call.tool, activity.agent, activity.bundle)
        else { return }
        // A second name of a call that is known by its own says nothing when it means nothing.
        if meaning == nil, !call.isNamed { return }
        state.uses.note(call.tool, meaning?.operations ?? [], by: activity.agent, on: day)
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

    // MARK: Drifts

    /// Drifts that the ledger does not have yet, oldest first.
    package var drifts: [BehaviourDrift] { guarded { $0.kept.drifts } }

    package var hasDrifts: Bool { guarded { !$0.kept.drifts.isEmpty } }

    /// Forgets drifts that are on record now, or need no record.
    package func settle(_ drifts: [BehaviourDrift]) {
        let settled = Set(drifts)
        guarded { state in
            state.kept.drifts.removeAll { settled.contains($0) }
            state.isDirty = true
        }
    }

    // MARK: Samples

    /// Hands the samples over that came since the last time, and the consumer's own state to be changed with them.
    ///
    /// Both are kept together: after a crash the consumer finds the state that fits the samples it gets then.
    package func consume(
        now: Moment = Moment(nanoseconds: Machine.nanoseconds),
        _ body: (_ samples: [Sample], _ store: inout JSONValue) -> Void
    ) {
        guarded { state in
            state.releaseSamples(now)
            let before = state.kept.consumer
            let samples = state.kept.takeSamples()
            body(samples, &state.kept.consumer)
            if !samples.isEmpty || state.kept.consumer != before { state.isDirty = true }
        }
    }

    /// How much an agent runs; nil when that is not known.
    func traffic(of agent: AgentID) -> Traffic? { guarded { $0.traffic.agents[agent] } }

    /// The consumer's own state as it is now, for looking at it.
    package var consumerState: JSONValue { guarded { $0.kept.consumer } }

    /// That files are not read, in a sentence; nil when all are.
    package var unreadSentence: String? { guarded { Self.sentence(unread: $0.reading.unreadFiles) } }

    package static func sentence(unread count: Int) -> String? {
        guard count > 0 else { return nil }
        let files = counted(count, "file is", "files are")
        return
            "telemetry: \(files) not read (more than \(TelemetryReader.most)); the kill switch does not see them"
    }

    // MARK: Keeping

    /// Writes how far it has come, where that is news. What is not news waits for the checkpoint.
    package func report() throws {
        guard lock != nil, let news = guarded({ $0.takeNews() }) else { return }
        try readingFile.write(news)
    }

    /// What a checkpoint writes.
    private struct Copy: Sendable {
        var checkpoint: TelemetryCheckpoint
        var traffic: TrafficBook
        var reading: TelemetryReading
        var uses: UseBook.News
        /// Nil where nothing is new.
        var observed: ObservationBook?
    }

    /// Writes what is needed to go on, if anything happened since. Copies under the lock, encodes and writes outside.
    package func checkpoint() throws {
        guard lock != nil else { return }
        try writing.withLock { _ in
            let copy = guarded { state -> Copy? in
                guard state.isDirty || state.uses.hasNews, state.unremembered.isEmpty else { return nil }
                state.isDirty = false
                return Copy(
                    checkpoint: state.checkpoint,
                    traffic: state.traffic,
                    reading: state.reading,
                    uses: state.uses.takeNews(),
                    observed: state.kept.observed == state.writtenObserved ?? ObservationBook()
                        ? nil : state.kept.observed
                )
            }
            guard let copy else { return }
            do {
                // Before the checkpoint: what is read again after a crash is noted again, and what is not is lost.
                do { try copy.uses.write(files, environment) } catch {
                    guarded { $0.uses.putBack(copy.uses) }
                    throw error
                }
                try file.write(copy.checkpoint)
                // Summaries that lag behind after a crash are just as good.
                try trafficFile.write(copy.traffic)
                try readingFile.write(copy.reading)
                if let observed = copy.observed { try observedFile.write(observed) }
                guarded {
                    $0.writtenReading = copy.reading
                    if let observed = copy.observed { $0.writtenObserved = observed }
                }
            } catch {
                guarded { $0.isDirty = true }
                throw error
            }
        }
    }
}
