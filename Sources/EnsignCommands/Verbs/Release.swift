import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let release = Verb(
        name: "release",
        group: .declare,
        summary: "Freeze an agent's 'next' as a version",
        discussion: """
            Copies fleet/agents/TEAM/AGENT/next byte for byte to a folder named for the version and stages it. Once \
            the branch has it, the version never changes.
            """,
        arguments: [
            Argument(name: "AGENT", summary: "The agent, <team>/<agent>", kind: .agent),
            Argument(name: "X.Y.Z", summary: "The new version, SemVer"),
        ],
        examples: [
            Example(command: "ensign release support/refund-triage 1.6.0", meaning: "freeze what 'next' says now")
        ]
    ) { invocation in
        let site = try invocation.site()
        let agent = try invocation.agent(0)
        guard let version = SemanticVersion(invocation.argument(1) ?? "") else {
            throw UsageError(
                message: "'\(invocation.argument(1) ?? "")' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0",
                verb: "release"
            )
        }
        guard let root = site.repository.workTree else {
            throw Failure(message: "a bare repository has no work tree", hints: ["run it in a clone"], code: .usage)
        }
        let fleet = Fleet(snapshot: try site.workTreeSnapshots(root)(), today: invocation.today)
        guard let loaded = try fleet.agent(agent, .next) else {
            if try !fleet.declares(agent) { try invocation.requireKnown(agent, nil, site) }
            throw Failure(
                message: "'\(agent)' has no 'next'",
                hints: ["ensign new version \(agent) starts one from the newest release"],
                code: .usage
            )
        }
        try FleetChecker(fleet: fleet).check(loaded)
        let renderer = FindingRenderer(paint: invocation.console.paintNote, source: fleet.source)
        let findings = renderer.render(fleet.findings)
        if !findings.isEmpty { invocation.console.note(String(findings.dropLast())) }
        guard !fleet.hasErrors else { return .invalid }
        let from = RepositoryPath.version(AgentVersion.next, of: agent)
        let to = RepositoryPath.version(version, of: agent)
        let copy = ReleasedCopy(site: site, root: root, fleet: fleet, of: loaded, as: version)
        if try Files.status(root + to) != nil || fleet.agentVersions(agent).contains(.release(version)) {
            guard try copy.isUnstaged() else {
                throw Refusal(
                    message: "\(to) exists already, and a released version never changes",
                    hints: ["choose another version"]
                )
            }
            try copy.stage()
        } else {
            try copy.make(now: invocation.now)
        }
        invocation.console.line("\(agent) \(version) is frozen from \(from) and staged: \(to)")
        if !invocation.isQuiet {
            let changed = try Git.run(["--work-tree", root, "status", "--porcelain", "--", root + from], in: site)
                .outputText
            if !changed.isEmpty {
                invocation.console.note("note: \(from) has uncommitted changes: they are part of the release")
            }
            let next = try fleet.afterRelease(of: agent, version)
            invocation.console.note("Next: git commit -m 'Release \(agent) \(version)', then \(next)")
        }
        return .done
    }
}

extension Fleet {
    /// The command that takes a release to where it runs first.
    fileprivate func afterRelease(of agent: AgentID, _ version: SemanticVersion) throws -> String {
        let environments = try PromotionChain(self).order
        let released = try environments.filter { try environment($0)?.value?.mutableVersions == false }
        guard let first = released.first ?? environments.first else { return "ensign new env NAME, for it to run in" }
        let deployed = try released.first { try deploys(agent, in: $0) }
        // The version is named: where it was developed, 'next' may run.
        return deployed.map { "ensign promote \(agent) --to \($0) --version \(version)" }
            ?? "ensign new deployment \(agent) --env \(first)"
    }
}
