import EnsignGit
package import EnsignHost
import EnsignJudge
package import EnsignLedger
import EnsignManifest
package import EnsignModel
package import EnsignPlanner
import EnsignSystem

/// Everything that a decision about one environment depends on besides the commit, read at one moment.
///
/// This is the one place that assembles it. A reconcile, the plan of a push, `plan`, `promote` and `rollout status` all
/// decide from a situation (``decide(_:)``), so that what is shown is what is done.
package struct Situation {
    package let site: Site
    package let environment: String
    package let tip: RecordedEntry?
    package let now: Timestamp
    /// By how many seconds the clock was set since rollouts were last looked at; nil when it was not.
    package let clockStep: Int64?
    /// This Ensign's own version: another one may compile to other bytes.
    package let version: String
    let evidence: EvidenceSource
    /// What an operator asks for.
    package var request: OperatorRequest?
    package var allowPrune = false
    /// Whether nothing that is kept about earlier commits counts.
    var compilesEverything = false
    /// What should be known of the situation itself, in sentences.
    package private(set) var caveats: [String] = []

    /// The source of verdicts about canaries.
    enum EvidenceSource {
        /// The judge's own memory: whoever reconciles changes it on the way, whoever looks gets a copy.
        case store(EvidenceStore?, [SeriesAnswer])
        /// Another clone's business: nothing is known here.
        case elsewhere
    }

    /// The situation of a reconcile, under the environment's lock.
    init(
        _ site: Site,
        _ environment: String,
        tip: RecordedEntry?,
        clock: SystemClock,
        version: String,
        store: EvidenceStore?,
        answers: [SeriesAnswer]
    ) throws {
        try self.init(site, environment, tip, clock, version, .store(store, answers))
    }

    private init(
        _ site: Site,
        _ environment: String,
        _ tip: RecordedEntry?,
        _ clock: SystemClock,
        _ version: String,
        _ evidence: EvidenceSource
    ) throws {
        (self.site, self.environment, self.tip) = (site, environment, tip)
        (self.version, self.evidence) = (version, evidence)
        now = Timestamp(seconds: clock.wall())
        clockStep =
            try RecordedTree(repository: site.repository, tip: tip).waitsForTime()
            ? ClockReading.step(clock, since: StateFile(site.files, environment)) : nil
    }

    /// The situation as it is now, for looking at it. Nothing is changed.
    ///
    /// On the host it reads what telemetry has brought since the last run, as the next reconcile will. In another clone it
    /// says what cannot be known there.
    ///
    /// - Parameter asksPrometheus: Whether to ask the server too. Not where somebody waits for a hook.
    package static func look(
        _ site: Site,
        _ environment: String,
        version: String,
        clock: SystemClock = SystemClock(),
        asksPrometheus: Bool = false
    ) throws -> Situation {
        let tip = try site.ledger(environment).checkedTip()
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        guard try recorded.hasCanaries() else {
            return try Situation(site, environment, tip, clock, version, .store(nil, []))
        }
        guard site.reconciles else {
            var situation = try Situation(site, environment, tip, clock, version, .elsewhere)
            situation.caveats = [
                "a canary is under way: what its analysis says is known on the host alone, and counts as undecided here"
            ]
            return situation
        }
        let (store, stops) = try EvidenceStore.looking(site, environment)
        var answers: [SeriesAnswer] = []
        if asksPrometheus, let store, let reader = SeriesReader(site, environment) {
            let now = Moment(Timestamp(seconds: clock.wall()))
            answers = reader.answers(to: try OpenSeries(site, environment, store, now: now).requests)
        }
        var situation = try Situation(site, environment, tip, clock, version, .store(store, answers))
        situation.caveats = stops
        return situation
    }

    /// Nothing was ever live: for comparing commits with each other.
    package static func nothing(_ site: Site, _ environment: String, now: Timestamp) throws -> Situation {
        let clock = SystemClock(wall: { now.seconds })
        var situation = try Situation(site, environment, nil, clock, "", .elsewhere)
        situation.allowPrune = true
        return situation
    }

    package var today: CalendarDate { now.date }

    /// Whether only what a difference can touch must be compiled: everything else is live as it was compiled.
    func isIncremental() throws -> Bool {
        guard let tip, !compilesEverything else { return false }
        // Another version of Ensign may compile to other bytes.
        return try site.ledger(environment).isComplete(tip) && tip.entry.actor.version == version
    }

    /// The commit whose rules are in force; nil before anything was accepted.
    func accepted() throws -> ObjectID? { try site.acceptedCommit(environment, tip: tip) }
}
