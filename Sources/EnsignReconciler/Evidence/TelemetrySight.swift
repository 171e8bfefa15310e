package import EnsignHost
import EnsignJudge
package import EnsignLedger
package import EnsignManifest
package import EnsignModel
import EnsignPolicy
import EnsignSystem

/// Whether what guards agents by their telemetry can see any of it: a guard that cannot fire says so.
package struct TelemetrySight: Sendable, Hashable {
    package var environment: String
    /// What is declared, in words: `5 kill-switch rules`. Empty when nothing looks at telemetry.
    package var guards: [String]
    package var directory: String?
    /// When something was last read, as far as is known; nil when nothing ever was.
    package var lastRead: Timestamp?
    /// Why nothing can be seen; nil when it can.
    package var obstacle: Obstacle?
    /// Of agents with rules about calls whose telemetry shows none of what these look at, in sentences.
    package var blindRules: [String] = []

    package enum Obstacle: Sendable, Hashable {
        case notSet
        case badSetting(String)
        case noDirectory
        case nothingRead
        /// Nothing for so long, in seconds.
        case silent(Int64)
    }

    /// Longer silence than this is reported: in a fleet without a single run in a day, the exporter is mostly not
    /// running.
    private static let silence: Int64 = 86_400

    /// Looks at the operator's settings and at what was read. Where nobody reconciles there is nothing to say.
    ///
    /// - Parameters:
    ///   - fleet: What is in force, or about to be.
    ///   - agents: Agents whose deployments may have rules of their own; the first 500 are looked at.
    package static func look(_ site: Site, _ environment: String, fleet: Fleet, agents: [AgentID], now: Timestamp)
        throws
        -> TelemetrySight?
    {
        guard site.reconciles else { return nil }
        var sight = TelemetrySight(environment: environment, guards: try guards(environment, fleet, agents))
        do throws(SettingsError) { sight.directory = try site.settings.telemetry(environment) } catch {
            sight.obstacle = .badSetting("\(error)")
            return sight
        }
        sight.lastRead = try StateFile<TelemetryCheckpoint>(site.files, environment).written()
        guard let directory = sight.directory else {
            sight.obstacle = .notSet
            return sight
        }
        if (try? Files.status(directory))?.kind != .directory {
            sight.obstacle = .noDirectory
        } else if let last = sight.lastRead {
            let silent = now.seconds - last.seconds
            if silent > silence { sight.obstacle = .silent(silent) }
        } else {
            sight.obstacle = .nothingRead
        }
        if sight.obstacle == nil { sight.blindRules = try blindRules(site, environment, fleet, agents) }
        return sight
    }

    /// The most agents whose rules are named.
    private static let mostNamed = 20

    /// Rules about calls of agents that run and whose telemetry shows no call, or none with arguments.
    private static func blindRules(
        _ site: Site,
        _ environment: String,
        _ fleet: Fleet,
        _ agents: [AgentID]
    ) throws -> [String] {
        let quiet = Fleet(snapshot: fleet.snapshot, today: fleet.today)
        let common = try quiet.environment(environment)?.value?.killSwitch ?? []
        var rules: [AgentID: [KillRule]] = [:]
        for agent in agents.prefix(500) {
            let own = common + (try quiet.deployment(agent, in: environment)?.value?.killSwitch ?? [])
            if own.contains(where: \.isOfCalls) { rules[agent] = own.filter(\.isOfCalls) }
        }
        guard !rules.isEmpty else { return [] }
        let tip = try site.ledger(environment).tip()
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let traffic = TrafficBook.kept(in: StateFile<TrafficBook>(site.files, environment), of: Set(rules.keys))
        var sentences: [String] = []
        for (agent, traffic) in traffic.sorted(by: { $0.key < $1.key }) {
            guard let runs = traffic.recentRuns, let own = rules[agent],
                let stable = try recorded.agent(agent)?.stable?.digest,
                let granted = try recorded.bundle(stable).map({ ToolNames($0).count }), granted > 0
            else { continue }
            if let sentence = sentence(agent, own, runs, granted, traffic) { sentences.append(sentence) }
        }
        let rest = sentences.count - mostNamed
        return sentences.prefix(mostNamed)
            + (rest > 0 ? ["rules of \(counted(rest, "more agent", "more agents")) cannot fire"] : [])
    }

    private static func sentence(
        _ agent: AgentID,
        _ rules: [KillRule],
        _ runs: Int64,
        _ granted: Int,
        _ traffic: Traffic
    ) -> String? {
        func names(_ rules: [KillRule]) -> String { Set(rules.map(\.name)).sorted().joined(separator: ", ") }
        if traffic.calls == 0 {
            // Before calls were counted, what was counted of runs says it.
            guard traffic.metrics[MetricName.steps.description]?.positive ?? 0 == 0 else { return nil }
            return
                "\(names(rules)) of \(agent) cannot fire: \(counted(runs, "run", "runs")) and not one call, although "
                + "\(counted(granted, "operation is", "operations are")) granted; 'ensign telemetry check' says what is missing"
        }
        let repeated = rules.filter { if case .repeatedCall = $0 { true } else { false } }
        guard !repeated.isEmpty, traffic.callsWithArguments == 0, traffic.calls >= 20 else { return nil }
        return
            "\(names(repeated)) of \(agent) cannot fire: none of its \(traffic.calls) calls has arguments that say something"
    }

    private init(environment: String, guards: [String]) {
        (self.environment, self.guards) = (environment, guards)
    }

    /// What looks at telemetry: the environment's own, then that of its deployments.
    private static func guards(_ environment: String, _ fleet: Fleet, _ agents: [AgentID]) throws -> [String] {
        let quiet = Fleet(snapshot: fleet.snapshot, today: fleet.today)
        let settings = try quiet.environment(environment)?.value
        var rules = settings?.killSwitch.count ?? 0
        var analyses = settings?.rollout?.readsTelemetry == true ? 1 : 0
        var guarded = settings?.rollout?.isGuarded == true ? 1 : 0
        for agent in agents.prefix(500) {
            guard let deployment = try quiet.deployment(agent, in: environment)?.value else { continue }
            rules += deployment.killSwitch.count
            if deployment.rollout?.readsTelemetry == true { analyses += 1 }
            if deployment.rollout?.isGuarded == true { guarded += 1 }
        }
        func words(_ count: Int, _ one: String, _ many: String) -> String? {
            count == 0 ? nil : counted(count, one, many)
        }
        return [
            words(rules, "kill-switch rule", "kill-switch rules"),
            words(analyses, "canary analysis", "canary analyses"), words(guarded, "guard", "guards"),
        ].compactMap { $0 }
    }

    /// That guards cannot fire, and why, in a sentence; nil when they can, or nothing guards.
    package var sentence: String? {
        guard !guards.isEmpty, let why else { return nil }
        let what =
            guards.count == 1
            ? guards[0] : guards.dropLast().joined(separator: ", ") + " and " + (guards.last ?? "")
        return "\(what) of \(environment) cannot fire: \(why)"
    }

    /// All that cannot fire, in sentences.
    package var sentences: [String] { (sentence.map { [$0] } ?? []) + blindRules }

    /// That nobody sees what agents do, although nothing is declared that looks; nil where telemetry is set.
    package var unseen: String? {
        guard guards.isEmpty, obstacle == .notSet else { return nil }
        return "no telemetry is set, so nobody sees what agents do (ensign.\(environment).telemetry)"
    }

    private var why: String? {
        switch obstacle {
        case nil: nil
        case .notSet:
            "no telemetry is set; 'git config ensign.\(environment).telemetry DIRECTORY' names where runtimes write it"
        case .badSetting(let why): why
        case .noDirectory: "\(directory ?? "") is not a directory (ensign.\(environment).telemetry)"
        case .nothingRead: "nothing was ever read from \(directory ?? "")"
        case .silent(let seconds):
            "nothing was read from \(directory ?? "") for \(TimeSpan.short(milliseconds: seconds * 1_000))"
        }
    }

    package var json: JSONValue {
        [
            "directory": directory.map { .string($0) } ?? .null, "guards": .array(guards.map { .string($0) }),
            "lastRead": lastRead.map { .string($0.description) } ?? .null,
            "problem": why.map { .string($0) } ?? .null, "cannotFire": sentence.map { .string($0) } ?? .null,
            "blindRules": .array(blindRules.map { .string($0) }),
        ]
    }
}

extension KillRule {
    /// Whether it looks at calls.
    fileprivate var isOfCalls: Bool { if case .spend = self { false } else { true } }
}

extension Rollout {
    private var analysis: Analysis? { if case .canary(let canary) = self { canary.analysis } else { nil } }

    /// Whether its candidates are judged by telemetry.
    fileprivate var readsTelemetry: Bool { analysis?.metrics.contains { $0.query == nil } ?? false }

    /// Whether stable versions are watched.
    fileprivate var isGuarded: Bool { analysis?.metrics.contains { $0.query == nil && $0.guarding != .off } ?? false }
}

extension Site {
    /// Whether the guards that are in force can see anything; nil where nobody reconciles, and before anything is accepted.
    package func sight(_ environment: String, _ tip: RecordedEntry?, now: Timestamp) throws -> TelemetrySight? {
        guard reconciles, let accepted = try acceptedCommit(environment, tip: tip) else { return nil }
        let snapshot = try Desired(self, accepted, name: settings.branch).snapshots()
        return try TelemetrySight.look(
            self,
            environment,
            fleet: Fleet(snapshot: snapshot, today: now.date),
            agents: RecordedTree(repository: repository, tip: tip).agents(),
            now: now
        )
    }
}
