import EnsignCommandLine
import EnsignHost
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignTargets

/// Renders the result of a reconcile.
struct ReconcileRenderer {
    let answer: ReconcileReport
    let console: Console
    /// A file's bytes, to show a finding's line; nil when there is none.
    let source: (String) -> [UInt8]?
    /// What others did about the same commit before this run.
    var appliedBefore: [AppliedCommit] = []

    init(answer: ReconcileReport, console: Console, source: @escaping (String) -> [UInt8]?) {
        (self.answer, self.console, self.source) = (answer, console, source)
    }

    private var report: Reconciler.Report { answer.report }
    private var environment: String { answer.environment }

    /// What was done is a result; what somebody should also know is a note.
    func lines(quiet: Bool, showsWarnings: Bool) -> [Said] {
        var said = findings(warnings: showsWarnings && !quiet)
        if report.recovered { said.append(note("an interrupted run was recovered")) }
        for warning in report.warnings { said.append(note("warning: \(warning.onOneLine)")) }
        said += list(report.behaviour.map { ChangeSentence($0).past })
        said += list(report.halts.map { ChangeSentence($0).past })
        said += list(report.drift.map(\.repaired))
        if !report.sealed.isEmpty {
            said += list([
                "\(counted(report.sealed.count, "route")) signed with the ledger's key; nothing else of them changed"
            ])
        }
        // Also while what is desired cannot be applied: time, verdicts and stops go on.
        said += list(answer.guards.map(\.line))
        said += changes
        if !quiet {
            // What is quarantined is said below, with what to do about it; a soak that has just begun is said above.
            said += list((report.plan?.held ?? []).filter { !isExplained($0) }.map(line))
            said += list(
                (report.plan?.leaving ?? []).map { "\($0.agent) stays, its removal waits: \($0.sentence)" }
            )
        }
        said += result(quiet: quiet)
        if !quiet {
            said += report.branches.written.map { note("wrote \($0)") }
            said += report.branches.removed.map { note("removed \($0): git agrees") }
        }
        said += report.branches.disagreements.map { note($0.sentence.onOneLine) }
        said += report.notes.map { note($0.onOneLine) }
        if let waiting = answer.waiting { said.append(note(waiting.sentence)) }
        return said
    }

    /// Whether nothing else changes: what says who may agree comes with the agents and guards that it belongs to.
    private var isAlone: Bool { answer.guards.isEmpty && report.plan?.isEmpty ?? true && report.plan?.rules == nil }

    private func note(_ text: String) -> Said { .note("\(environment): \(text)") }

    private func result(quiet: Bool) -> [Said] {
        switch report.result {
        case .nothingDeclared: quiet || report.failure != nil ? [] : [note("nothing is declared yet")]
        case .invalid:
            [
                note(
                    "\(console.paintNote("not applied", .red)): the manifests are invalid; what was live stays"
                )
            ]
        case .refused(let why):
            [
                note("\(console.paintNote("refused", .red)): \(why.onOneLine); what was live stays"),
                .note("  hint: if it is meant: ensign reconcile --env \(environment) --allow-prune --reason TEXT"),
            ]
        case .impossible(let refusal): [note("refused: \(refusal.message.onOneLine)")]
        case .converged: quiet || report.failure != nil ? [] : entry
        }
    }

    private var entry: [Said] {
        guard let entry = report.entry else { return [] }
        if answer.didNothing, !appliedBefore.isEmpty { return appliedBefore.flatMap(lines) }
        return [
            note(
                answer.didNothing
                    ? "nothing\(answer.guards.isEmpty ? "" : " else") to do, at entry \(entry.sequence)"
                    : "\(console.paintNote("converged", .green)), recorded as entry \(entry.sequence) (\(entry.commit.short))"
            )
        ]
    }

    private func lines(_ applied: AppliedCommit) -> [Said] {
        list(applied.changes.map { ChangeSentence($0).past }) + [note(applied.heading)]
    }

    /// What was done to the environment and to agents. What gains authority comes first, where not all lines are shown.
    private var changes: [Said] {
        // Rules that guard agents have said it themselves.
        let common = (report.plan?.common ?? []).filter {
            ($0.rules == nil || answer.guards.isEmpty) && ($0.file == nil || isAlone)
        }
        var lines = common.map { ChangeSentence($0).past }
        let changes = report.plan?.changes ?? []
        var order = Array(changes.indices)
        if changes.count > Self.maxLines {
            let gaining = order.filter { gains(changes[$0]) }
            order = gaining + order.filter { !gains(changes[$0]) }
        }
        var more = 0
        for index in order {
            // Of a large fleet only those that are shown are put into words.
            if lines.count < Self.maxLines {
                lines += self.lines(changes[index])
            } else {
                more += count(changes[index])
            }
        }
        return list(lines, more: more)
    }

    private func gains(_ planned: PlannedChange) -> Bool {
        planned.all.contains { $0.kind == .widening && $0.action != .create }
    }

    /// What was done to one agent. What its stable version lost, or what going back changed, is said too.
    private func lines(_ planned: PlannedChange) -> [String] {
        let version = planned.recompiled?.side.version.description ?? ""
        return planned.all.map { ChangeSentence($0).past }
            + stableAuthority(planned).map { "  \(planned.agent) \(version) \($0.onOneLine)" }
    }

    private func count(_ planned: PlannedChange) -> Int { planned.all.count + stableAuthority(planned).count }

    private func stableAuthority(_ planned: PlannedChange) -> [String] {
        guard planned.recompiled != nil, let authority = planned.stableDifference?.authority else { return [] }
        return authority.gained + authority.lost
    }

    private func isExplained(_ held: HeldAgent) -> Bool {
        if held.reason == .quarantined { return report.branches.disagreements.contains { $0.agent == held.agent } }
        guard held.reason == .soaking, let because = held.because else { return false }
        return (report.plan?.changes ?? []).contains { planned in
            planned.agent == held.agent && lines(planned).contains { $0.contains(because.onOneLine) }
        }
    }

    private func findings(warnings: Bool) -> [Said] {
        let shown = report.findings.filter { $0.severity == .error || warnings }
        guard !shown.isEmpty else { return [] }
        return [.note(String(FindingRenderer(paint: console.paintNote, source: source).render(shown).dropLast()))]
    }

    private func line(_ held: HeldAgent) -> String {
        let why = held.reason == .soaking ? held.because.map { "waits: \($0.onOneLine)" } : nil
        return "\(held.agent) stays as it is: \(held.wanted.version) \(why ?? "is \(held.reason.words)")"
    }

    /// The most changes that are named one by one; the ledger has them all.
    private static let maxLines = 50

    /// - Parameter others: How many lines there are besides.
    private func list(_ lines: [String], more others: Int = 0) -> [Said] {
        var said: [Said] = lines.prefix(Self.maxLines).map { .result("\(environment): \($0)") }
        let more = lines.count - said.count + others
        if more > 0 { said.append(.result("\(environment): ... and \(more) more: 'ensign log --env \(environment)'")) }
        return said
    }
}
