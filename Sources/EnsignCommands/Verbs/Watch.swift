import EnsignHost
import EnsignModel
import EnsignPlanner
import EnsignReconciler
import EnsignSupervisor
import EnsignSystem
import EnsignTargets

extension Verb {
    static let watch = Verb(
        name: "watch",
        group: .apply,
        summary: "Reconcile on commits and drift until stopped",
        discussion: """
            Reconciles at once when the branch moves or a live file changes, and now and then in any case. In a clone \
            of a forge (git config ensign.remote) it fetches at ensign.interval and pushes the ledger back. Several \
            environments at once; one that fails does not stop the others. Canaries need it, or a timer that runs \
            'ensign reconcile'. SIGTERM ends it after what is under way.
            """,
        options: [
            Option(
                name: "env",
                summary: "Name an environment; all of them if left out",
                value: "ENV",
                kind: .environment,
                isRepeatable: true
            )
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign watch", meaning: "everything this clone is configured for"),
            Example(command: "ensign watch --env staging --env prod", meaning: "two environments"),
        ]
    ) { invocation in
        var invocation = invocation
        invocation.console.endsWithReader = false
        let site = try invocation.site()
        guard site.isInitialised else { throw ReconcileError.notInitialised }
        if site.settings.isClient { throw ReconcileError.client }
        let asked = invocation.all("env")
        for name in asked where !Name.isValid(name) {
            throw UsageError(message: "'\(name)' is not the name of an environment: \(Name.rule)", verb: "watch")
        }
        let log = WatchLog(console: invocation.console, format: invocation.format, isQuiet: invocation.isQuiet)
        let watcher = Watcher(
            opening: site.opening,
            overrides: invocation.overrides,
            environments: asked,
            actor: invocation.actor(.watch),
            report: { log.write($0) }
        )
        try watcher.run { environments in
            log.say(
                "watching \(environments.isEmpty ? "for the first environment" : environments.joined(separator: ", ")) at \(site.settings.desiredRef)"
            )
        }
        log.say("stopped")
        return .done
    }
}

/// What `watch` prints: a line for everything that happened, nothing while nothing does.
private struct WatchLog: Sendable {
    let console: Console
    let format: Format
    let isQuiet: Bool

    private var time: String { Timestamp(seconds: Machine.now).description }

    func say(_ text: String) {
        if !isQuiet { console.note("\(time) \(text)") }
    }

    func write(_ event: WatchEvent) {
        switch event {
        case .reconciled(let environment, let report):
            if format == .json {
                guard !report.isUneventful else { return }
                console.out((try? report.json(environment, nil).canonicalBytes()).map { $0 + [0x0A] } ?? [])
            } else {
                for line in report.lines(environment) { console.line("\(time) \(line)") }
            }
        case .failed(let environment, let error):
            let explanation = Explanation(error)
            console.note(
                "\(time) \(environment): \(console.paintNote("failed", .red)): \(explanation.message.escapedControls)"
            )
        case .note(let environment, let text): console.note("\(time) \(environment): \(text.escapedControls)")
        case .fetchFailed(let text): console.note("\(time) fetch failed: \(text.escapedControls)")
        case .fetched: break
        }
    }
}

extension Reconciler.Report {
    /// Whether nothing happened that anybody wants to read.
    fileprivate var isUneventful: Bool {
        if case .converged = result {} else if !repeats { return false }
        return (plan?.isEmpty ?? true) && guards.isEmpty && drift.isEmpty && !recovered && branches.written.isEmpty
            && branches.removed.isEmpty && halts.isEmpty && behaviour.isEmpty && warnings.isEmpty
    }

    fileprivate func lines(_ environment: String) -> [String] {
        var lines: [String] = []
        let number = entry.map { ", entry \($0.sequence)" } ?? ""
        if recovered { lines.append("\(environment): an interrupted run was recovered") }
        for warning in warnings { lines.append("\(environment): warning: \(warning.escapedControls)") }
        for change in behaviour { lines.append("\(environment): \(change.sentence), recorded") }
        for change in halts {
            let agent = change.agent?.description ?? change.scope ?? ""
            if let activity = change.evidence?.activityAfterHalt {
                lines.append(
                    "\(environment): \(agent) acts although it is halted: \(activity.what)"
                        .escapedControls
                )
            } else {
                let why = change.evidence?.reason ?? ""
                lines.append("\(environment): \(agent) halted, recorded: \(why)".escapedControls)
            }
        }
        for file in drift {
            lines.append("\(environment): repaired \(file.path.escapedControls) (\(file.found.words))\(number)")
        }
        for change in guards { lines.append("\(environment): \(change.line)") }
        for change in [plan?.fleetChange].compactMap({ $0 }) + (plan?.changes ?? []).flatMap(\.all) {
            lines.append("\(environment): \(change.sentence)\(number)")
        }
        switch result {
        case _ where repeats: break
        case .nothingDeclared, .converged: break
        case .invalid:
            lines.append(
                "\(environment): not applied, the manifests have \(counted(findings.count { $0.severity == .error }, "error")); 'ensign validate' shows them"
            )
        case .impossible(let refusal): lines.append("\(environment): refused, \(refusal.message)")
        case .refused(let why): lines.append("\(environment): refused, \(why)")
        }
        for branch in branches.removed { lines.append("\(environment): removed \(branch): git agrees") }
        return lines
    }
}
