import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignQueries
import EnsignReconciler
import EnsignSystem

extension Verb {
    static let validate = Verb(
        name: "validate",
        group: .declare,
        summary: "Check every manifest and report every finding",
        discussion: """
            Checks structure, names, references, delegation, schemas and grants of the whole fleet, and goes on after \
            each finding. Without PATH and --rev it checks the work tree, or in a bare repository the tip of the \
            branch. Exit status 3 means that there are errors; warnings alone are 0.
            """,
        arguments: [
            Argument(
                name: "PATH",
                summary: "A directory with fleet/ and environments/, in git or not",
                isRequired: false,
                kind: .file
            )
        ],
        options: [Option(name: "rev", summary: "Check a commit instead of files", value: "REV", kind: .revision)],
        formats: [.text, .json, .sarif],
        examples: [
            Example(command: "ensign validate", meaning: "the work tree, before committing"),
            Example(command: "ensign validate --rev main~1", meaning: "a commit, as the server would see it"),
            Example(command: "ensign validate . --output json", meaning: "findings for a program"),
            Example(
                command: "ensign validate --output sarif",
                meaning: "findings for a forge to show beside the files"
            ),
        ],
        output: .answer
    ) { invocation in
        let (snapshots, name, branch) = try invocation.snapshots()
        let result = try FleetValidation.run(snapshots, today: invocation.today)
            .refusingSecrets(newSince: branch, today: invocation.today)
        return try invocation.report(result, of: name, snapshots)
    }
}

extension Invocation {
    /// What `validate` looks at, its name for people, and what the branch has already.
    fileprivate func snapshots() throws -> (@Sendable () throws -> any Snapshot, String, (any Snapshot)?) {
        if let path = argument(0) {
            guard self["rev"] == nil else {
                throw UsageError(message: "PATH and --rev exclude each other", verb: verb.name)
            }
            guard let place = Files.canonical(path) else { throw Failure(message: "there is no directory '\(path)'") }
            // The whole work tree is that, however it is named.
            if let site = try? site(), let root = site.repository.workTree, Files.canonical(root) == place {
                return (try site.workTreeSnapshots(root), path, try pushed(site))
            }
            return ({ DirectorySnapshot(path: place) }, path, nil)
        }
        let site = try site()
        let branch = try pushed(site)
        if self["rev"] == nil, let workTree = site.repository.workTree {
            return (try site.workTreeSnapshots(workTree), "the work tree", branch)
        }
        let (_, commit) = try site.fleet(at: self["rev"], today: today)
        return (
            site.snapshots(of: try site.repository.commit(commit).tree), self["rev"] ?? site.settings.branch, branch
        )
    }

    private func pushed(_ site: Site) throws -> (any Snapshot)? {
        try site.pushedCommit().map { GitSnapshot(site.repository, tree: try site.repository.commit($0).tree) }
    }

    fileprivate func report(
        _ result: FleetValidation,
        of name: String,
        _ snapshots: () throws -> any Snapshot
    ) throws -> ExitCode {
        switch format {
        case .json: json(result.json)
        case .sarif: json(result.sarif(version: App.version))
        case .text, .markdown:
            let fleet = Fleet(snapshot: try snapshots(), today: today)
            console.out(FindingRenderer(paint: console.paint, source: fleet.source).render(result.findings))
            if !isQuiet {
                let counts = result.counts
                console.note(
                    "\(name): \(counted(counts.agents, "agent")), \(counted(counts.versions, "version")), "
                        + "\(counted(counts.tools, "tool version")), \(counted(counts.environments, "environment")), "
                        + "\(counted(counts.deployments, "deployment")); "
                        + (result.findings.isEmpty
                            ? console.paintNote("all valid", .green)
                            : "\(counted(result.errors, "error")), \(counted(result.warnings, "warning"))")
                )
            }
        }
        return result.errors == 0 ? .done : .invalid
    }
}
