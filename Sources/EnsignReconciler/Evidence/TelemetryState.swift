import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignTelemetry

/// The state of a telemetry pipeline: what is kept between runs, and what is known while the process lives.
struct TelemetryState: ~Copyable {
    var reader: TelemetryReader
    var kept: TelemetryCheckpoint
    var traffic: TrafficBook
    var uses = UseBook()
    /// As far as the copy for readers has it.
    var writtenObserved: ObservationBook?
    /// When it was last looked what of it is too old.
    private var forgotten: Day?
    /// Agents with a raised alarm, until they are resumed.
    var alarmed: Set<AgentID> = []
    /// Stops that could not be remembered: nothing may be kept that has forgotten them.
    var unremembered: [HaltRecord] = []
    var reading = TelemetryReading(time: Moment(nanoseconds: 0), unreadFiles: 0, problems: [])
    private var behindSince: Moment?
    /// What the file says now.
    var writtenReading: TelemetryReading?
    /// Whether something happened that is not kept yet.
    var isDirty: Bool
    /// Whether nothing was read since the start.
    var isFresh = true
    /// Samples wait until then, and since when: reading is or was behind.
    private var hold: (since: Moment, until: Moment)?
    /// A reader that never catches up does not hold samples back for ever.
    private static let longestHold: Int64 = 300_000

    init(reader: consuming TelemetryReader, kept: TelemetryCheckpoint, traffic: TrafficBook, isDirty: Bool) {
        self.reader = reader
        self.kept = kept
        self.traffic = traffic
        self.isDirty = isDirty
    }

    /// Lets samples wait while reading is behind, and until all runs that it reads meanwhile have made theirs.
    ///
    /// Files are read one after the other. Samples that are handed over in the middle of it would be those of the files
    /// that were read first, and runs of one version would be compared with much older ones of the other.
    mutating func holdSamples(_ isComplete: Bool, _ now: Moment) {
        if !isComplete {
            let settle = kept.attribution.settleMilliseconds + 1_000
            hold = (hold?.since ?? now, now.advanced(milliseconds: settle))
            kept.hold()
        }
        releaseSamples(now)
    }

    /// Lets samples go whose time has come.
    mutating func releaseSamples(_ now: Moment) {
        guard let held = hold,
            now >= held.until || now >= held.since.advanced(milliseconds: Self.longestHold) || now < held.since
        else { return }
        hold = nil
        kept.release()
    }

    /// Notes a gateway's decision about an agent that is only observed.
    mutating func note(_ ruling: GatewayRuling, _ book: TelemetryBook) {
        guard book.isObserved(ruling.bundle) else { return }
        kept.observed.take(ruling)
        isDirty = true
    }

    /// Forgets, once a day, what was observed too long ago.
    mutating func forgetObserved(_ now: Moment) {
        let today = Day(now)
        guard today != forgotten else { return }
        forgotten = today
        let before = kept.observed
        kept.observed.forget(before: today.advanced(by: -ObservationBook.keptDays).start)
        if kept.observed != before { isDirty = true }
    }

    /// What is to be kept now.
    var checkpoint: TelemetryCheckpoint {
        var checkpoint = kept
        checkpoint.cursor = reader.cursor
        return checkpoint
    }

    /// Notes how far reading has come with a step.
    mutating func note(_ batch: TelemetryBatch, _ now: Moment) {
        let before = reading
        reading.time = now
        if batch.bytes > 0 { reading.lastRead = now }
        if let unread = batch.unreadFiles { reading.unreadFiles = unread }
        reading.problems = reader.problems + (kept.droppedSentence.map { [$0] } ?? [])
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

    /// How far it has come, where that is news: when reading falls behind or has caught up, and once a second in between.
    mutating func takeNews() -> TelemetryReading? {
        let written = writtenReading
        let isNews = (written?.behind == nil) != (reading.behind == nil)
        let age = reading.time.nanoseconds(since: written?.time ?? Moment(nanoseconds: .min))
        guard isNews || reading.behind != nil && age >= 1_000_000_000 else { return nil }
        writtenReading = reading
        return reading
    }

    mutating func resume(_ agent: AgentID, until moment: Moment) {
        kept.killSwitch.reset(agent, at: moment)
        kept.guards.restart(agent, after: moment)
        alarmed.remove(agent)
        isDirty = true
    }
}
