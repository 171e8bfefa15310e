import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignQueries
import EnsignReconciler

extension Verb {
    static let diff = Verb(
        name: "diff",
        group: .ask,
        summary: "Compare two versions, revisions or environments",
        discussion: """
            A and B are two versions of an agent (support/refund-triage@1.4.0), two environments (staging prod), or \
            two revisions of the repository (main~1 main). Revisions are compared in the environment that --env names, \
            or in all of them.
            """,
        arguments: [
            Argument(name: "A", summary: "A version, an environment or a revision", kind: .side),
            Argument(name: "B", summary: "What to compare it with", kind: .side),
        ],
        options: [
            Option(
                name: "env",
                summary: "Compare revisions in this environment; in all of them if left out",
                value: "ENV",
                kind: .environment
            ),
            Option(name: "detailed-exitcode", summary: "Exit with 2 when there are differences"),
        ],
        formats: [.text, .json, .markdown],
        examples: [
            Example(
                command: "ensign diff support/refund-triage@1.4.0 support/refund-triage@1.5.0",
                meaning: "what the new version changes"
            ),
            Example(command: "ensign diff staging prod", meaning: "how the environments differ"),
            Example(command: "ensign diff main~5 main --env prod", meaning: "what five commits did to prod"),
        ],
        output: .answer
    ) { invocation in
        let site = try invocation.site()
        let comparison = Comparison(site: site, invocation: invocation)
        let plans: [Plan]
        do {
            plans = try comparison.plans(invocation.argument(0) ?? "", invocation.argument(1) ?? "")
        } catch let side as InvalidSide {
            if invocation.format == .json { invocation.json(Finding.invalid(side.findings)) }
            throw side.failure
        }
        let (first, second) = (invocation.argument(0) ?? "", invocation.argument(1) ?? "")
        let text = plans.map { plan in
            let place = plan.environment.isEmpty ? "" : "\(plan.environment): "
            return PlanRenderer(plan: plan, title: "\(place)\(first) -> \(second)", paint: invocation.console.paint)
        }
        switch invocation.format {
        case .text, .sarif: for plan in text { invocation.console.out(try plan.text()) }
        case .markdown: for plan in text { invocation.console.out(try plan.markdown()) }
        case .json: invocation.json(["v": 1, "differences": .array(try plans.map { try PlanReport($0).json() })])
        }
        return invocation.has("detailed-exitcode") && plans.contains(where: \.hasDifferences) ? .differences : .done
    }
}

/// A side whose manifests are not valid.
private struct InvalidSide: Error {
    var findings: [Finding]
    var failure: Failure
}

/// Two sides, compared as a plan from one to the other.
private struct Comparison {
    let site: Site
    let invocation: Invocation

    func plans(_ first: String, _ second: String) throws -> [Plan] {
        if Self.version(first) != nil || Self.version(second) != nil {
            try refuseEnvironment("two versions")
            return [try versions(first, second)]
        }
        let (fleet, commit) = try site.fleet(at: nil, today: invocation.today)
        let names = try fleet.environmentNames()
        if names.contains(first), names.contains(second) {
            try refuseEnvironment("two environments")
            return [try environments(first, second, commit)]
        }
        let (old, new) = (try side(first, or: second, names), try side(second, or: first, names))
        let asked = try invocation["env"] == nil ? [] : [invocation.environment()]
        let all = Set(try site.environments(in: site.repository.commit(old).tree))
            .union(try site.environments(in: site.repository.commit(new).tree))
        for environment in asked where !all.contains(environment) {
            throw ReconcileError.unknownEnvironment(environment, known: all.sorted())
        }
        return try (asked.isEmpty ? all.sorted() : asked).map { environment in
            let fleet = Fleet(
                snapshot: GitSnapshot(site.repository, tree: try site.repository.commit(new).tree),
                today: invocation.today
            )
            let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
            var compared = try plan(environment, new, second).compared(with: try plan(environment, old, first)) {
                try compiler.compile($0, as: $1) { _ in false }
            }
            compared.guards = try guards(environment, new, since: old, renamed: compared.renamed)
            return compared
        }
    }

    /// What is compared says whether an environment has to be named.
    private func refuseEnvironment(_ sides: String) throws(UsageError) {
        guard invocation["env"] == nil else {
            throw UsageError(message: "--env is for revisions: A and B are \(sides)", verb: "diff")
        }
    }

    /// The commit of a side. Where there is none, an environment was meant: by this side, or by the other one.
    ///
    /// - Parameter environments: Those that are declared.
    private func side(_ text: String, or other: String, _ environments: [String]) throws -> ObjectID {
        do { return try site.resolve(text) } catch let failure as Failure where failure.code == .usage {
            if environments.contains(text) {
                throw UsageError(
                    message: "'\(text)' is an environment, and '\(other)' is none",
                    hint: Suggestion.hint(for: other, among: environments, plural: "environments"),
                    verb: "diff"
                )
            }
            if text.contains("@"), !text.contains("@{"), failure.hints.isEmpty {
                throw UsageError(
                    message: failure.message,
                    hint: "a version of an agent is <team>/<agent>@<version>",
                    verb: "diff"
                )
            }
            // What is there is no misspelt environment.
            guard let near = Suggestion.nearest(to: text, in: environments), failure.hints.isEmpty else {
                throw failure
            }
            throw UsageError(message: failure.message, hint: "did you mean '\(near)'?", verb: "diff")
        }
    }

    /// What guards the agents of an environment at a commit and differs at another one, or in another environment.
    private func guards(
        _ environment: String,
        _ commit: ObjectID,
        since base: ObjectID,
        of other: String? = nil,
        renamed: [AgentID: AgentID] = [:]
    ) throws -> [GuardChange] {
        try Situation.nothing(site, environment, now: invocation.now).guards(
            Desired(site, commit, name: environment),
            since: Desired(site, base, name: other ?? environment),
            of: other,
            renamed: renamed
        )
    }

    /// Everything in an environment at a commit, planned from nothing.
    private func plan(_ environment: String, _ commit: ObjectID, _ name: String) throws -> Plan {
        let desired = try Desired(site, commit, name: name)
        let decision = try Situation.nothing(site, environment, now: invocation.now).decide(desired)
        if let plan = decision.plan { return plan }
        try decision.checkReadable()
        let fleet = Fleet(snapshot: try desired.snapshots(), today: invocation.today)
        let text = FindingRenderer(paint: invocation.console.paintNote, source: fleet.source).render(decision.findings)
        invocation.console.note(String(text.dropLast()))
        let place = name == environment ? "at \(commit.short)" : "in '\(environment)'"
        throw InvalidSide(
            findings: decision.findings,
            failure: Failure(message: "'\(name)' cannot be compared: it is not valid \(place)", code: .invalid)
        )
    }

    private func environments(_ first: String, _ second: String, _ commit: ObjectID) throws -> Plan {
        // Only what differs by itself: the environment's own name is in every bundle.
        var old = try plan(first, commit, first)
        old.changes = try old.changes.map { try $0.moved(to: second) }
        let new = try plan(second, commit, second)
        var result = try Plan.moved(new, to: second).compared(with: old)
        result.guards = try guards(second, commit, since: commit, of: first)
        result.environment = ""
        return result
    }

    private func versions(_ first: String, _ second: String) throws -> Plan {
        let (fleet, commit) = try site.fleet(at: nil, today: invocation.today)
        let (agent, old) = try bundle(first, fleet)
        let (other, new) = try bundle(second, fleet)
        guard agent == other else {
            throw UsageError(message: "'\(agent)' and '\(other)' are two agents", verb: "diff")
        }
        return try Plan(comparing: agent, old, new, source: PlanSource(name: site.settings.branch, commit: commit))
    }

    /// The version of an agent that a side names; nil for everything else, also for what git names with an `@`.
    private static func version(_ text: String) -> (agent: AgentID, version: AgentVersion)? {
        let parts = text.split(separator: "@", maxSplits: 1).map(String.init)
        guard parts.count == 2, let agent = AgentID(parts[0]), let version = AgentVersion(parts[1]) else { return nil }
        return (agent, version)
    }

    private func bundle(_ text: String, _ fleet: Fleet) throws -> (AgentID, CompiledBundle) {
        guard let (agent, version) = Self.version(text) else {
            throw UsageError(message: "'\(text)' is not <team>/<agent>@<version>", verb: "diff")
        }
        try invocation.requireKnown(agent, nil, site)
        guard let loaded = try fleet.agent(agent, version) else {
            throw UsageError(
                message: "'\(agent)' has no version \(version)",
                hint: Suggestion.versions(try fleet.agentVersions(agent).map(\.description)),
                verb: "diff"
            )
        }
        guard let bundle = try Compiler.compileAlone(loaded, fleet: fleet) else {
            throw Failure(message: "there is no valid '\(text)'", code: .invalid)
        }
        return (agent, bundle)
    }
}

extension PlannedChange {
    /// The change as if it were in another environment.
    fileprivate func moved(to environment: String) throws -> PlannedChange {
        guard let compiled = bundle else { return self }
        var moved = try compiled.bundle
        moved.environment = environment
        moved.identity = "spiffe://compared/\(environment)/\(agent)"
        var copy = self
        let sealed = Compiler.seal(moved, halted: compiled.halted)
        copy.bundle = sealed
        copy.change.to = sealed.side
        return copy
    }
}

extension Plan {
    fileprivate static func moved(_ plan: Plan, to environment: String) throws -> Plan {
        var copy = plan
        copy.changes = try plan.changes.map { try $0.moved(to: environment) }
        return copy
    }
}
