import EnsignCommandLine
import EnsignHost
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler
import EnsignSupervisor
import EnsignSystem

extension Verb {
    static let rollout = Verb(
        name: "rollout",
        group: .apply,
        summary: "Show and steer rollouts",
        discussion: """
            'status' shows where each rollout stands and why it waits. The others need an agent, and each is an entry \
            of the ledger: 'pause' stops the clock, 'resume' lets it go on, 'promote' makes the candidate the stable \
            version at once, 'abort' sends every session back and quarantines the candidate, 'retry' lifts the \
            quarantine of the version that git asks for, or of the one that --version names, 'override' lets a version \
            in that has not been stable for long enough where it comes from.
            """,
        arguments: [
            Argument(name: "ACTION", summary: "What to do", kind: .choice(RolloutAction.allCases.map(\.rawValue))),
            Argument(name: "AGENT", summary: "The agent, <team>/<agent>", isRequired: false, kind: .agent),
        ],
        options: [
            .environment,
            .reason.used(OptionUse(with: RolloutAction.allCases.filter { $0.operation != nil }.map(\.rawValue))),
            Option(
                name: "version",
                summary: "Name the version that is meant",
                value: "X.Y.Z",
                kind: .version,
                use: OptionUse(with: ["retry", "override"])
            ),
            Option(
                name: "watch",
                summary: "Show it again as it changes",
                use: OptionUse(with: ["status"], formats: [.text])
            ),
        ],
        formats: [.text, .json],
        examples: [
            Example(command: "ensign rollout status --env prod", meaning: "everything under way in prod"),
            Example(
                command: "ensign rollout status support/refund-triage --env prod --watch",
                meaning: "one rollout, refreshed in place"
            ),
            Example(
                command: "ensign rollout abort support/refund-triage --env prod --reason 'tickets pile up'",
                meaning: "back to the stable version, for everyone, now"
            ),
        ]
    ) { invocation in
        guard let action = invocation.argument(0).flatMap({ RolloutAction(rawValue: $0) }) else {
            throw UsageError(message: "what to do is missing", verb: "rollout")
        }
        let site = try invocation.site()
        let environment = try invocation.environment()
        try invocation.requireKnown(environment, site)
        guard let operation = action.operation else { return try invocation.rolloutStatus(site, environment) }
        guard invocation.argument(1) != nil else {
            throw UsageError(message: "'\(action.rawValue)' needs an AGENT", verb: "rollout")
        }
        let reason = try invocation.requiredReason(action.rawValue)
        let agent = try invocation.agent(1)
        try invocation.requireKnown(agent, environment, site)
        try invocation.requireHost(site)
        return try invocation.operate(
            invocation.naming(operation),
            on: agent,
            environment,
            site,
            reason: reason
        )
    }
}

/// The first argument of `rollout`.
private enum RolloutAction: String, CaseIterable {
    case status, pause, resume, promote, abort, retry, override

    /// Nil for `status`, which changes nothing.
    var operation: RolloutOperation? {
        switch self {
        case .status: nil
        case .pause: .pause
        case .resume: .resume
        case .promote: .promote
        case .abort: .abort
        case .retry: .retry(nil)
        case .override: .override(nil)
        }
    }
}

extension Invocation {
    /// The operation on the version that `--version` names.
    fileprivate func naming(_ operation: RolloutOperation) throws(UsageError) -> RolloutOperation {
        guard let version = try version("version") else { return operation }
        switch operation {
        case .retry: return .retry(version)
        case .override: return .override(version)
        case .pause, .resume, .promote, .abort, .halt, .unhalt, .rollback:
            preconditionFailure("--version is declared for 'retry' and 'override' alone")
        }
    }

    /// Reconciles with an operator's request.
    func operate(
        _ operation: RolloutOperation,
        on agent: AgentID,
        _ environment: String,
        _ site: Site,
        reason: String
    ) throws -> ExitCode {
        var options = Reconciler.Options()
        let actor = actor(.cli)
        options.request = OperatorRequest(
            agent: agent,
            operation: operation,
            by: operatorName,
            reason: reason
        )
        let reconciler = Reconciler(site: site, environment: environment, actor: actor, options: options)
        return try finish(reconciler, reconciler.run(), forge: Forge(site))
    }

    fileprivate func rolloutStatus(_ site: Site, _ environment: String) throws -> ExitCode {
        let agent = try argument(1) == nil ? nil : agent(1)
        try site.requireLedger(environment)
        if let agent { try requireKnown(agent, environment, site) }
        while true {
            let report = try RolloutReport.make(site, environment, agent: agent, version: App.version)
            let waiting = report.waiting
            if format == .json {
                json(report.json)
                return .done
            }
            let text = RolloutRenderer(report: report, console: console, isDetailed: agent != nil).text
            guard has("watch"), console.isTerminal else {
                console.out(text)
                if let agent, report.rows.isEmpty, !isQuiet {
                    let question = "ensign get agents --env \(environment)"
                    console.note("\(environment): \(agent) is not live; '\(question)' says why")
                }
                if let waiting { console.note("\(environment): \(waiting.sentence)") }
                if let dropped = report.dropped { console.note("\(environment): \(dropped)") }
                return .done
            }
            // Home, the new text with each line cleared behind it, and what was below it cleared.
            let shown = text + (waiting.map { "\n\(environment): \($0.sentence)\n" } ?? "")
            let lines = shown.split(separator: "\n", omittingEmptySubsequences: false)
            console.out("\u{1B}[H" + lines.joined(separator: "\u{1B}[K\n") + "\u{1B}[J")
            // The terminal may be gone.
            guard !console.isCutOff else { return .done }
            Machine.sleep(seconds: 1)
        }
    }
}
