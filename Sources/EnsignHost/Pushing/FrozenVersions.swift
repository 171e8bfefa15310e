package import EnsignGit
package import EnsignModel

/// Released versions never change once the branch has them.
///
/// Decided from git alone, by comparing two trees; what is equal is not read. A version may be deleted: if a deployment
/// still names it, checking the manifests says so.
package enum FrozenVersions {
    /// What a new tree changes in versions that the old tree already has.
    package static func violations(
        from old: ObjectID,
        to new: ObjectID,
        repository: Repository
    ) throws -> [Finding] {
        let changes = try repository.differences(from: old, to: new) {
            RepositoryPath.leads($0, toOrBelow: [RepositoryPath.agents, RepositoryPath.tools])
        }
        return try changes.compactMap { change in
            switch RepositoryPath.meaning(of: change.path) {
            case .version(let name, let agent, let file)? where !file.isEmpty:
                guard let version = SemanticVersion(name) else { return nil }
                let folder = RepositoryPath.version(name, of: agent)
                // A new version, or one that is gone, changes nothing that was released.
                guard try repository.entry(at: folder, in: old) != nil,
                    try repository.entry(at: folder, in: new) != nil
                else { return nil }
                return violation(of: version, of: agent, by: change)
            case .tool(let tool, let file)? where change.before != nil && change.after != nil:
                return RepositoryPath.name(file).map { version in
                    Finding(
                        code: "frozen-version",
                        "version \(version) of tool '\(tool)' is released and never changes",
                        path: change.path,
                        hint: "add a new version beside it"
                    )
                }
            default: return nil
            }
        }
        .sorted()
    }

    private static func violation(of version: SemanticVersion, of agent: AgentID, by change: TreeChange) -> Finding {
        let what =
            change.before == nil
            ? "a file is added" : change.after == nil ? "a file is removed" : "this file changes"
        let next = RepositoryPath.version(AgentVersion.next, of: agent)
        return Finding(
            code: "frozen-version",
            "version \(version) is released and never changes: \(what)",
            path: change.path,
            hint: "edit \(next) and release it: ensign release \(agent) X.Y.Z"
        )
    }
}
