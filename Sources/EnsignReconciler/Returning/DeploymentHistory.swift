package import EnsignGit
package import EnsignModel

/// Who changed a file, along the branch's own line of commits.
package struct DeploymentHistory {
    private let repository: Repository
    private let path: String

    package init(_ path: String, in repository: Repository) {
        self.path = path
        self.repository = repository
    }

    /// A commit whose file differs from its first parent's.
    package struct FileChange: Sendable, Hashable {
        package var commit: ObjectID
        package var parent: ObjectID
        package var isMerge: Bool
        /// The file's content before; nil when the commit added it.
        package var before: ObjectID?

        /// As `git revert` writes it, without the full stop's line.
        package var reverts: String {
            "This reverts commit \(commit)\(isMerge ? ", reversing\nchanges made to \(parent)" : "")."
        }
    }

    /// The newest commit that changed the file; nil when there is none.
    package func lastChange(from tip: ObjectID) throws -> FileChange? {
        var found: FileChange?
        try walk(from: tip) { change in
            found = change
            return false
        }
        return found
    }

    /// The newest commits that changed the file, newest first.
    ///
    /// - Parameters:
    ///   - limit: The most changes.
    ///   - depth: How many commits are looked at, at most.
    func changes(from tip: ObjectID, limit: Int, depth: Int) throws -> [FileChange] {
        var found: [FileChange] = []
        try walk(from: tip, depth: depth) { change in
            found.append(change)
            return found.count < limit
        }
        return found
    }

    private func walk(from tip: ObjectID, depth: Int = .max, _ body: (FileChange) -> Bool) throws {
        var id = tip
        var present = try repository.entry(at: path, in: try repository.commit(id).tree)?.id
        var seen = 0
        while seen < depth {
            seen += 1
            let commit = try repository.commit(id)
            // The end of a shallow clone is the end of what can be known.
            guard let parent = commit.parents.first, repository.contains(parent) else { return }
            let before = try repository.entry(at: path, in: try repository.commit(parent).tree)?.id
            if before != present {
                let isMerge = commit.parents.count > 1
                guard body(FileChange(commit: id, parent: parent, isMerge: isMerge, before: before)) else { return }
            }
            (id, present) = (parent, before)
        }
    }
}
