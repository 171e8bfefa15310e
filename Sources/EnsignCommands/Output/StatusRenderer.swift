import EnsignCommandLine
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignQueries
import EnsignReconciler

/// Renders the state of environments.
struct StatusRenderer {
    let status: FleetStatus

    var table: TextTable {
        TextTable(
            header: ["ENVIRONMENT", "AGENTS", "ENTRY", "SOURCE", "DESIRED", "RECONCILED"]
                + (followsForge ? ["FETCHED"] : []) + ["RESULT"],
            rows: shown.map(cells)
        )
    }

    /// One that is retired is shown when it is asked for.
    private var shown: [EnvironmentStatus] {
        status.environments.count == 1 ? status.environments : status.environments.filter { !$0.isRetired }
    }

    private var followsForge: Bool { status.environments.contains { $0.forge != nil } }

    /// What somebody should look at, a line each.
    var notes: [String] {
        let retired = status.environments.count - shown.count
        let names = status.environments.filter(\.isRetired).map(\.name).joined(separator: ", ")
        return status.warnings.map(\.onOneLine)
            + shown.flatMap { row in notes(row).map { "\(row.name): \($0.onOneLine)" } }
            + (retired > 0 ? ["no longer declared, and nothing is live: \(names)"] : [])
    }

    private func cells(_ row: EnvironmentStatus) -> [String] {
        [
            row.name, row.tip.map { String($0.agents) } ?? "-", row.tip.map { String($0.entry.sequence) } ?? "-",
            row.tip?.acceptedSource?.short ?? "-", row.desired?.short ?? "-",
            row.age.map(Self.age) ?? "never",
        ]
            + (followsForge
                ? [row.forge?.fetch.last.map { Self.age(row.now.seconds(since: $0)) } ?? "never"] : [])
            + [row.result ?? "-"]
    }

    private func notes(_ row: EnvironmentStatus) -> [String] {
        var notes: [String] = []
        if let message = row.unreadable.map({ Explanation($0).message }) ?? row.status?.message, !message.isEmpty {
            notes.append(message)
        }
        if let problem = row.targetProblem?.description, row.status?.message.contains(problem) != true {
            notes.append(problem)
        }
        if row.hasNoBranch {
            notes.append("the desired branch is not here: what is live stays; 'git config ensign.branch' names it")
        }
        notes += row.forge?.sentences ?? []
        if let refusal = row.refusal { notes.append(refusal.sentence) }
        for scope in [HaltScope.all] + row.halts.teams.keys.sorted().map({ .team($0) }) {
            guard let halt = row.halts[scope] else { continue }
            notes.append("halted: \(scope) since \(halt.since) by \(halt.by), with what comes later: \(halt.reason)")
        }
        notes += agents(row) + rollouts(row)
        notes += row.observed?.sentences ?? []
        for drift in row.drifts.prefix(Self.maxNamed) { notes.append(drift.sentence) }
        if row.drifts.count > Self.maxNamed { notes.append("drift: \(row.drifts.count - Self.maxNamed) more") }
        for record in row.pending.pending {
            let why = row.pending.failure.map { ": \($0)" } ?? ""
            let what = record.kind == .halt ? "a halt" : "an alarm"
            notes.append("\(what) of \(record.scope.text(row.name)) is not on record yet\(why)")
        }
        notes += (row.sight?.sentences ?? []) + (row.sight?.unseen.map { [$0] } ?? [])
        notes += row.reading?.sentences ?? []
        if let waiting = row.waiting { notes.append(waiting.sentence) }
        notes += row.disagreements.map(\.sentence)
        if let note = row.outbox?.note { notes.append(note) }
        return notes
    }

    /// Agents that are halted, first those that act all the same.
    private func agents(_ row: EnvironmentStatus) -> [String] {
        let agents = row.halted.sorted { $0.key < $1.key }
        var notes = agents.compactMap { agent, state in
            state.activityAfterHalt.map { "alarm: \(agent) was seen to act at \($0), after it was halted" }
        }
        for (agent, state) in agents.prefix(Self.maxNamed) {
            notes.append(
                state.halt.map { "halted: \(agent) since \($0.since) by \($0.by): \($0.reason)" }
                    ?? "halted: \(agent), by git"
            )
        }
        if agents.count > Self.maxNamed { notes.append("halted: \(agents.count - Self.maxNamed) more") }
        return notes
    }

    /// What is under way: which version, and how far.
    private func rollouts(_ row: EnvironmentStatus) -> [String] {
        let agents = row.rollouts.sorted { $0.key < $1.key }
        var notes = agents.prefix(Self.maxNamed).compactMap { agent, state -> String? in
            guard let candidate = state.rollout?.candidate else { return nil }
            let weight = state.canary.map { " at \($0.progress.weight) %" } ?? ""
            return "\(state.phase(of: agent)): \(agent) \(candidate.side.version)\(weight)"
        }
        if agents.count > Self.maxNamed {
            notes.append(
                "rollouts: \(agents.count - Self.maxNamed) more; 'ensign rollout status --env \(row.name)' shows them"
            )
        }
        return notes
    }

    /// The most agents that are named.
    private static let maxNamed = 20

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
