import EnsignGit
package import EnsignHost
import EnsignLedger
package import EnsignManifest
package import EnsignModel
import EnsignReconciler

/// What an agent may call and was not seen to call: what `tighten` proposes to take away.
package struct Tightening: Sendable {
    package var agent: AgentID
    package var environment: String
    /// How long an operation must not have been called.
    package var days: Int64
    /// The first of these days.
    package var since: Day
    /// Sorted by tool and operation.
    package var operations: [Row]
    /// Calls that mean nothing granted, by the name in telemetry, and on which day last.
    package var unknownCalls: [(name: String, last: Day)]
    /// The deployment's text without what is proposed to go; nil where nothing is.
    package var edited: [UInt8]?
    package var path: String

    package enum Verdict: Sendable, Hashable {
        /// Called in these days.
        case used
        case remove
        /// Not called, and not proposed to go.
        case keep(because: String)
    }

    /// One operation that the agent may call.
    package struct Row: Sendable, Hashable {
        package var tool: String
        package var operation: String
        /// Nil: never, as far back as it is known.
        package var lastCall: Day?
        package var origin: GrantOrigin
        package var verdict: Verdict

        package var name: String { "\(tool).\(operation)" }
    }

    package var removed: [Row] { operations.filter { $0.verdict == .remove } }

    /// Why nothing can be said.
    package struct Refusal: Error, Sendable, Hashable {
        package var message: String
        package var hints: [String]
    }

    /// The longest time that may be asked for, in days.
    package static let most: Int64 = 3_650
}

// MARK: - Finding

extension Tightening {
    /// Compares what an agent is granted with what it was seen to call.
    ///
    /// - Parameters:
    ///   - commit: Whose deployment is to be changed.
    ///   - now: The end of the time; the day that it is in counts too.
    /// - Throws: ``Refusal`` where telemetry does not say enough: "never called" must not mean "not seen".
    package static func find(
        _ site: Site,
        _ agent: AgentID,
        _ environment: String,
        days: Int64,
        at commit: ObjectID,
        now: Timestamp
    ) throws -> Tightening {
        let window = Window(site: site, agent: agent, environment: environment, days: days, now: now)
        let use = try window.use()
        let before = try window.bundles()
        let snapshot = GitSnapshot(site.repository, tree: try site.repository.commit(commit).tree)
        let fleet = Fleet(snapshot: snapshot, today: now.date)
        guard let resolved = try EnvironmentCompiler(fleet: fleet, environment: environment).resolve(agent) else {
            throw Refusal(
                message: "'\(environment)' does not deploy '\(agent)', or its manifests are invalid",
                hints: ["ensign validate"]
            )
        }
        var rows: [Row] = []
        for permission in resolved.permissions where permission.effectiveApproval != nil {
            let name = "\(permission.tool).\(permission.operation)"
            var row = Row(
                tool: permission.tool,
                operation: permission.operation,
                lastCall: use.operations[name],
                origin: permission.origin,
                verdict: .used
            )
            if (row.lastCall ?? Day(number: .min)) < window.first {
                let wasGranted = before.contains { $0.operation(permission.tool, permission.operation) != nil }
                row.verdict = wasGranted ? .remove : .keep(because: "granted for less than \(days) days")
            }
            rows.append(row)
        }
        var found = Tightening(
            agent: agent,
            environment: environment,
            days: days,
            since: window.first,
            operations: rows,
            unknownCalls: use.unknown.filter { $0.value >= window.first }.sorted { $0.key < $1.key }
                .map { ($0.key, $0.value) },
            path: resolved.deploymentPath
        )
        try found.edit(resolved, fleet, snapshot)
        return found
    }

    /// Makes the text without what is to go, and sees that it grants what is left, and nothing else.
    private mutating func edit(_ resolved: ResolvedDeployment, _ fleet: Fleet, _ snapshot: any Snapshot) throws {
        let plan = GrantReduction(resolved, removing: Set(removed.map(\.name)))
        for index in operations.indices where operations[index].verdict == .remove {
            guard let role = plan.roles[operations[index].name] else { continue }
            operations[index].verdict = .keep(because: "role '\(role)' grants it, to others too")
        }
        let gone = Set(removed.map(\.name))
        guard !gone.isEmpty else { return }
        let left = Set(resolved.permissions.map { "\($0.tool).\($0.operation)" }).subtracting(gone)
        guard let bytes = fleet.source(path), let edited = GrantEdit.applying(plan.changes, to: bytes),
            try Self.granted(agent, environment, OverlaySnapshot(snapshot, path: path, bytes: edited), fleet.today)
                == left
        else {
            throw Refusal(
                message: "\(path) is written in a way that cannot be edited here",
                hints: ["take these out by hand: \(gone.sorted().joined(separator: ", "))"]
            )
        }
        self.edited = edited
    }

    private static func granted(
        _ agent: AgentID,
        _ environment: String,
        _ snapshot: any Snapshot,
        _ today: CalendarDate
    ) throws -> Set<String>? {
        let compiler = EnvironmentCompiler(fleet: Fleet(snapshot: snapshot, today: today), environment: environment)
        return try compiler.resolve(agent).map { resolved in
            Set(resolved.permissions.map { "\($0.tool).\($0.operation)" })
        }
    }
}

/// The days that are asked about, and what is known of them.
private struct Window {
    let site: Site
    let agent: AgentID
    let environment: String
    let days: Int64
    let today: Day
    let first: Day

    init(site: Site, agent: AgentID, environment: String, days: Int64, now: Timestamp) {
        (self.site, self.agent, self.environment, self.days) = (site, agent, environment, days)
        today = Day(now)
        first = today.advanced(by: -days)
    }

    /// What the agent was seen to call.
    ///
    /// - Throws: ``Tightening/Refusal`` unless telemetry is known for all of these days, and shows calls of the agent.
    func use() throws -> OperationUse {
        guard try site.settings.telemetry(environment) != nil else {
            throw Tightening.Refusal(
                message: "'\(environment)' has no telemetry here: nothing says what is called",
                hints: [
                    "run it on the host of the fleet, with 'git config ensign.\(environment).telemetry DIR' (docs/telemetry.md)"
                ]
            )
        }
        let watched = try StateFile<WatchedDays>(site.files, environment).read() ?? WatchedDays()
        // Of today only what is over can be there.
        let last = today.advanced(by: -1)
        let team = try StateFile<TeamUse>(site.files, environment, part: agent.team).read()
        let kept = team?.agents[agent]
        if let gap = watched.gap(from: first, to: last) { throw unknown(gap, watched.since(upTo: last)) }
        if let since = team?.since, since > first { throw unknown(first, since) }
        guard let kept, let call = kept.lastCall, call >= first else {
            throw Tightening.Refusal(
                message: "no call of '\(agent)' was seen in '\(environment)' in the last \(days) days: "
                    + "it made none, or its runtime writes none",
                hints: ["ensign evidence \(agent) --env \(environment) says what its telemetry shows"]
            )
        }
        return kept
    }

    private func unknown(_ day: Day, _ since: Day?) -> Tightening.Refusal {
        guard let since, since < today.advanced(by: -1) else {
            return Tightening.Refusal(
                message:
                    "telemetry of '\(environment)' is not known for \(counted(days, "day")): there is none of \(day)"
                    + (since.map { ", and it begins on \($0)" }
                        ?? (day == today.advanced(by: -1) ? "" : ", nor of yesterday")),
                hints: ["let 'ensign watch' follow it for as long as you ask about"]
            )
        }
        let known = today.number - since.number
        return Tightening.Refusal(
            message: "telemetry of '\(environment)' is not known for \(counted(days, "day")): there is none of \(day), "
                + "and it is whole since \(since)",
            hints: ["--days \(known) asks about what is known; from \(since.advanced(by: days)) on, \(days) days are"]
        )
    }

    /// What sessions of the agent had when these days began.
    ///
    /// - Throws: ``Tightening/Refusal`` when it was not live then.
    func bundles() throws -> [Bundle] {
        let ledger = site.ledger(environment)
        func isNew(_ why: String) -> Tightening.Refusal {
            Tightening.Refusal(
                message: "'\(agent)' is not live in '\(environment)' for \(days) days: \(why)",
                hints: ["ask about fewer days: --days N"]
            )
        }
        let entry: RecordedEntry?
        do { entry = try ledger.entry(at: .time(first.start)) } catch let none as NoSuchMoment {
            throw isNew(none.description)
        }
        guard let entry else { throw isNew("it has no ledger") }
        let live = LiveFleet(site, environment, at: entry)
        let bundles = try live.versions(of: agent).map(\.bundle)
        guard !bundles.isEmpty else { throw isNew("it was not on \(first)") }
        return bundles
    }
}
