import EnsignCommandLine
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let status = Verb(
        name: "status",
        group: .ask,
        summary: "Show the state of each environment",
        discussion: """
            Shows the newest entry, how many agents are live, and when this clone last reconciled; below the table what \
            somebody should look at: halted and quarantined agents, canaries that nobody looks after, and agents of \
            which the gateway only observes (mode: observe), with what it would have refused.
            """,
        options: [.anyEnvironment],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign status", meaning: "all environments"),
            Example(command: "ensign status --env prod --output json", meaning: "one, for a program"),
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let asked = try invocation["env"] == nil ? [] : [invocation.knownEnvironment(site)]
        let status = try FleetStatus.make(site, asked, now: invocation.now)
        if invocation.format == .json {
            invocation.json(status.json)
        } else {
            let renderer = StatusRenderer(status: status)
            invocation.console.out(renderer.table.render(invocation.console))
            for note in renderer.notes { invocation.console.note(note) }
            if !invocation.isQuiet, let why = try site.whyNothing(status.environments) { invocation.console.note(why) }
        }
        return .worst(of: status.environments.compactMap { $0.unreadable.map { Explanation($0).code } })
    }
}

extension Site {
    /// What is missing before there is something to show; nil when nothing is.
    fileprivate func whyNothing(_ rows: [EnvironmentStatus]) throws -> String? {
        let remotes = try Git.run(["remote"], in: self).outputText.split(separator: "\n")
        if try desiredCommit() == nil, rows.isEmpty {
            let next =
                remotes.isEmpty || reconciles
                ? "" : "; 'git fetch' brings it, or name another: git config ensign.branch NAME"
            return "there is no \(settings.desiredRef) yet, which says what is desired\(next)"
        }
        // What is wrong with the setting is said.
        if rows.isEmpty, settings.environments != nil { return nil }
        if rows.isEmpty { return "\(settings.desiredRef) declares no environment: 'ensign new env dev' starts one" }
        guard rows.allSatisfy({ $0.tip == nil && $0.unreadable == nil }), !reconciles, let remote = remotes.first else {
            return nil
        }
        return settings.isClient
            ? "there is no ledger here: git fetch first"
            : "there is no ledger here: git fetch \(remote) '\(Ledger.prefix)*:\(Ledger.prefix)*' first; 'ensign init --client' makes every fetch do so"
    }
}
