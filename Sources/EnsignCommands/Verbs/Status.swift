import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let status = Verb(
        name: "status",
        group: .ask,
        summary: "Show where each environment stands",
        discussion: """
            Shows the newest entry, how many agents are live, and when this clone last reconciled; below the table what \
            somebody should look at: halted and quarantined agents, and canaries that nobody looks after.
            """,
        options: [.anyEnvironment],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign status", meaning: "all environments"),
            Example(command: "ensign status --env prod --output json", meaning: "one, for a program"),
        ]
    ) { invocation in
        let site = try invocation.site()
        let asked = try invocation["env"] == nil ? [] : [invocation.knownEnvironment(site)]
        let now = Timestamp(seconds: Machine.now)
        let rows = try site.environments(asked).map { EnvironmentStatus.of($0, site) }
        let worst = rows.lazy.compactMap { $0.broken?.code }.first ?? .done
        if invocation.format == .json {
            invocation.json(["v": 1, "environments": .array(rows.map { $0.json(now) })])
            return worst
        }
        var table = TextTable(header: ["ENVIRONMENT", "AGENTS", "ENTRY", "SOURCE", "DESIRED", "RECONCILED", "RESULT"])
        for row in rows { table.rows.append(row.cells(now)) }
        invocation.console.out(table.render(invocation.console))
        for row in rows { for note in row.notes { invocation.console.note("\(row.name): \(note.escapedControls)") } }
        if !invocation.isQuiet, let why = try site.whyNothing(rows) { invocation.console.note(why) }
        return worst
    }
}

extension Site {
    /// What is missing before there is something to show; nil when nothing is.
    fileprivate func whyNothing(_ rows: [EnvironmentStatus]) throws -> String? {
        let remotes = try Git.run(["remote"], in: self).outputText.split(separator: "\n")
        let isHost = isInitialised && !settings.isClient
        if try desiredCommit() == nil, rows.isEmpty {
            let next =
                remotes.isEmpty || isHost
                ? "" : "; 'git fetch' brings it, or name another: git config ensign.branch NAME"
            return "there is no \(settings.desiredRef) yet, which says what is desired\(next)"
        }
        if rows.isEmpty { return "\(settings.desiredRef) declares no environment: 'ensign new env dev' starts one" }
        guard rows.allSatisfy({ $0.tip == nil && $0.broken == nil }), !isHost, let remote = remotes.first else {
            return nil
        }
        return settings.isClient
            ? "there is no ledger here: git fetch first"
            : "there is no ledger here: git fetch \(remote) '\(Ledger.prefix)*:\(Ledger.prefix)*' first; 'ensign init --client' makes every fetch do so"
    }
}

extension BehaviourRecord.Drift {
    /// For people.
    var sentence: String {
        let version = change.to.map { " \($0.version)" } ?? ""
        return "drift: \(agent?.description ?? "")\(version), recorded \(time): \(reason)"
    }

    var json: JSONValue {
        [
            "agent": agent.map { .string($0.description) } ?? .null, "metric": .string(metric),
            "stable": change.to?.json ?? .null, "reason": .string(reason), "time": .string(time.description),
            "seq": .integer(sequence),
        ]
    }
}

/// One environment's line.
private struct EnvironmentStatus {
    let name: String
    let tip: RecordedEntry?
    let status: Status?
    let desired: ObjectID?
    let disagreements: [Disagreement]
    let outbox: Outbox?
    let halted: [AgentID: AgentState]
    /// What is halted as a whole.
    let halts: FleetHalts
    /// Whether guards can see anything; nil where nobody reconciles, and where it cannot be said.
    let sight: TelemetrySight?
    /// Stable versions that are no longer what they were.
    let drifts: [BehaviourRecord.Drift]
    let pending: HaltsFile.Contents
    /// Nil where it cannot be known.
    let attendance: Attendance?
    /// How far telemetry was read; nil where nobody has read any.
    let reading: TelemetryReading?
    let waiting: WaitingCanary?
    /// Why the ledger cannot be read.
    let broken: Explanation?

    /// An environment of which something cannot be read says so, and does not hide the others.
    static func of(_ name: String, _ site: Site) -> EnvironmentStatus {
        do { return try EnvironmentStatus(name, site) } catch {
            return EnvironmentStatus(name, unreadable: Explanation(error), (try? site.desiredCommit()) ?? nil)
        }
    }

    private init(_ name: String, unreadable why: Explanation, _ desired: ObjectID?) {
        self.name = name
        self.desired = desired
        broken = why
        (tip, status, outbox, attendance, waiting, sight, reading) = (nil, nil, nil, nil, nil, nil, nil)
        halts = FleetHalts()
        (disagreements, halted, drifts, pending) = ([], [:], [], HaltsFile.Contents())
    }

    private init(_ name: String, _ site: Site) throws {
        self.name = name
        do {
            (tip, broken) = (try site.ledger(name).tip(), nil)
        } catch {
            // One that cannot be read does not hide the others.
            (tip, broken) = (nil, Explanation(error))
        }
        status = try StateFile<Status>(site.files, name).read()
        desired = try site.desiredCommit()
        outbox = try StateFile<Outbox>(site.files, name).read()
        let today = Timestamp(seconds: Machine.now).date
        disagreements =
            broken == nil ? try RollbackBranches(site: site, environment: name, today: today).survey(tip) : []
        let stopped = broken == nil ? try HaltedAgents(site, name) : nil
        (halted, halts) = (stopped?.states ?? [:], stopped?.halts ?? FleetHalts())
        sight = broken == nil ? try site.sight(name, tip, now: Timestamp(seconds: Machine.now)) : nil
        drifts = try tip.map { try BehaviourRecord.load(site, name, tip: $0).drifts } ?? []
        pending = try HaltsFile(path: site.files.halts(name)).read()
        let now = Timestamp(seconds: Machine.now)
        attendance = Attendance.of(name, site, now: now)
        let hasTelemetry = (try? site.settings.telemetry(name)) != .some(nil)
        reading = hasTelemetry ? StateFile<TelemetryReading>(site.files, name).known() : nil
        waiting =
            try tip.map { try RecordedTree(repository: site.repository, tip: $0).hasRollouts() } == true
            ? attendance.flatMap { WaitingCanary(name, $0) } : nil
    }

    func cells(_ now: Timestamp) -> [String] {
        [
            name, tip.map { String($0.agents) } ?? "-", tip.map { String($0.entry.sequence) } ?? "-",
            tip?.acceptedSource?.short ?? "-", desired?.short ?? "-",
            status.map { Self.age(now.seconds(since: $0.time)) } ?? "never",
            broken == nil ? status?.result ?? "-" : "unreadable",
        ]
    }

    var notes: [String] {
        var notes: [String] = []
        if let message = broken?.message ?? status?.message, !message.isEmpty { notes.append(message) }
        for scope in [FleetHalts.Scope.all] + halts.teams.keys.sorted().map({ .team($0) }) {
            guard let halt = halts[scope] else { continue }
            notes.append("halted: \(scope) since \(halt.since) by \(halt.by), with what comes later: \(halt.reason)")
        }
        let agents = halted.sorted { $0.key < $1.key }
        for (agent, state) in agents {
            guard let activity = state.activityAfterHalt else { continue }
            notes.append("alarm: \(agent) was seen to act at \(activity), after it was halted")
        }
        for (agent, state) in agents.prefix(Self.maxHalted) {
            if let halt = state.halt {
                notes.append("halted: \(agent) since \(halt.since) by \(halt.by): \(halt.reason)")
            } else {
                notes.append("halted: \(agent), by git")
            }
        }
        if agents.count > Self.maxHalted { notes.append("halted: \(agents.count - Self.maxHalted) more") }
        for drift in drifts.prefix(Self.maxHalted) { notes.append(drift.sentence) }
        if drifts.count > Self.maxHalted { notes.append("drift: \(drifts.count - Self.maxHalted) more") }
        for record in pending.pending {
            let why = pending.failure.map { ": \($0)" } ?? ""
            let what = record.kind == .halt ? "a halt" : "an alarm"
            notes.append("\(what) of \(record.scope.text(name)) is not on record yet\(why)")
        }
        if let sentence = sight?.sentence { notes.append(sentence) }
        notes += reading?.sentences ?? []
        if let waiting { notes.append(waiting.sentence) }
        notes += disagreements.map(\.sentence)
        if let note = outbox?.note { notes.append(note) }
        return notes
    }

    /// The most halted agents that are named.
    private static let maxHalted = 20

    func json(_ now: Timestamp) -> JSONValue {
        [
            "environment": .string(name), "agents": tip.map { .integer($0.agents) } ?? .null,
            "entry": tip.map {
                [
                    "seq": .integer($0.entry.sequence), "commit": .string($0.commit.description),
                    "kind": .string($0.entry.kind.rawValue), "time": .string($0.entry.time.description),
                    "result": .string($0.entry.result.rawValue),
                ]
            } ?? .null,
            "source": tip?.acceptedSource.map { .string($0.description) } ?? .null,
            "desired": desired.map { .string($0.description) } ?? .null,
            "error": broken.map { .string($0.message) } ?? .null,
            "reconciled": status?.json ?? .null, "watcher": attendance?.json ?? .null,
            "canaryWaiting": waiting?.json ?? .null,
            "disagreements": .array(disagreements.map(\.json)),
            "halted": .array(
                halted.sorted { $0.key < $1.key }.map { agent, state in
                    [
                        "agent": .string(agent.description), "git": .bool(state.haltedByGit),
                        "operator": state.halt?.json ?? .null,
                        "activity": state.activityAfterHalt.map { .string($0.description) } ?? .null,
                    ]
                }
            ),
            "haltedAsAWhole": halts.json, "guards": sight?.json ?? .null,
            "behaviour": .array(drifts.map(\.json)),
            "telemetry": reading?.json ?? .null,
            "haltsNotRecorded": .integer(Int64(pending.pending.count)),
            "ageSeconds": status.map { .integer(max(0, now.seconds(since: $0.time))) } ?? .null,
        ]
    }

    private static func age(_ seconds: Int64) -> String {
        switch seconds {
        case ..<0: "in the future"
        case 0..<120: "\(seconds)s ago"
        case 120..<7_200: "\(seconds / 60)m ago"
        case 7_200..<172_800: "\(seconds / 3_600)h ago"
        default: "\(seconds / 86_400)d ago"
        }
    }
}
