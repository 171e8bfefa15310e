import EnsignCommandLine
import EnsignHost
import EnsignModel
import EnsignPlanner
import EnsignQueries
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
        ],
        output: .log
    ) { invocation in
        FileLimit.raise()
        let site = try invocation.site()
        try invocation.requireHost(site)
        let asked = invocation.all("env")
        for name in asked where !Name.isValid(name) {
            throw UsageError(message: "'\(name)' is not the name of an environment: \(Name.rule)", verb: "watch")
        }
        let log = WatchLog(console: invocation.console, format: invocation.format, isQuiet: invocation.isQuiet)
        let watcher = Watcher(
            site,
            overrides: invocation.overrides,
            environments: asked,
            actor: invocation.actor(.watch),
            report: { log.write($0) }
        )
        try watcher.run { environments in
            for slip in asked.isEmpty ? (try? site.environmentSlips()) ?? [] : [] { log.warn(slip) }
            log.say(
                "watching \(environments.isEmpty ? "for the first environment" : environments.joined(separator: ", ")) at \(site.settings.desiredRef)"
            )
        }
        log.say("stopped")
        return .done
    }
}

/// What `watch` prints: a line for everything that happened, nothing otherwise.
private struct WatchLog: Sendable {
    let console: Console
    let format: Format
    let isQuiet: Bool

    private var time: String { Timestamp(seconds: Machine.now).description }

    func say(_ text: String) {
        if !isQuiet { console.note("\(time) \(text)") }
    }

    func warn(_ text: String) { console.note("\(time) warning: \(text.onOneLine)") }

    func write(_ event: WatchEvent) {
        switch event {
        case .reconciled(let environment, let report):
            let answer = ReconcileReport(report, environment)
            if format == .json {
                if !answer.isUneventful { console.out(answer.json.canonicalBytes() + [0x0A]) }
            } else {
                for line in WatchRenderer(answer: answer).lines { console.line("\(time) \(line)") }
            }
        case .failed(let environment, let error):
            let explanation = Explanation(error)
            console.note(
                "\(time) \(environment): \(console.paintNote("failed", .red)): \(explanation.message.onOneLine)"
            )
        case .note(let environment, let text): console.note("\(time) \(environment): \(text.onOneLine)")
        case .fetchFailed(let text): console.note("\(time) fetch failed: \(text.onOneLine)")
        case .fetchWorks(let since): console.note("\(time) fetching works again; it had failed since \(since)")
        }
    }
}
