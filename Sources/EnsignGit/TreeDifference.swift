package import EnsignModel

/// One file that differs between two trees.
package struct TreeChange: Sendable, Hashable {
    /// `/`-separated, relative to the trees.
    package var path: String
    package var before: TreeEntry?
    package var after: TreeEntry?
}

extension Repository {
    /// The files that differ between two trees, sorted by path.
    ///
    /// Equal subtrees are not read: the cost follows the change, not the size of the fleet. A folder without files
    /// counts as a file when it appears or disappears: no checkout shows it, but a listing does.
    ///
    /// - Parameters:
    ///   - most: The limit: a few small trees can describe more files than any memory holds.
    ///   - within: Only paths for which this returns true are entered or reported; called for folders and files.
    /// - Throws: ``GitError``; also for more than `most` differences, and for folders nested beyond any use.
    package func differences(
        from old: ObjectID?,
        to new: ObjectID?,
        most: Int = 1_000_000,
        within: (String) -> Bool = { _ in true }
    ) throws -> [TreeChange] {
        var walk = TreeWalk(repository: self, most: most)
        try walk.compare(old, new, prefix: "", depth: 0, within)
        return walk.changes.sorted { $0.path < $1.path }
    }
}

private struct TreeWalk {
    let repository: Repository
    let most: Int
    private(set) var changes: [TreeChange] = []

    private static let maxDepth = 128

    init(repository: Repository, most: Int) {
        self.repository = repository
        self.most = most
    }

    mutating func compare(
        _ old: ObjectID?,
        _ new: ObjectID?,
        prefix: String,
        depth: Int,
        _ within: (String) -> Bool
    ) throws {
        guard old != new else { return }
        guard depth <= Self.maxDepth, changes.count <= most else {
            throw GitError(
                code: -1,
                operation: "compare two trees",
                message: depth > Self.maxDepth
                    ? "folders are nested more than \(Self.maxDepth) deep" : "more than \(most) files differ"
            )
        }
        let before = try old.map { try repository.treeObject($0) } ?? .empty
        let after = try new.map { try repository.treeObject($0) } ?? .empty
        try TreeObject.compare(before, after) {
            guard let name = $0?.name ?? $1?.name else { return }
            try compare($0, $1, path: prefix + String(decoding: name, as: UTF8.self), depth, within)
        }
    }

    private mutating func compare(
        _ before: TreeEntry?,
        _ after: TreeEntry?,
        path: String,
        _ depth: Int,
        _ within: (String) -> Bool
    ) throws {
        guard within(path) else { return }
        let (wasFolder, isFolder) = (before?.mode == .directory, after?.mode == .directory)
        if wasFolder || isFolder {
            let count = changes.count
            let (old, new) = (wasFolder ? before?.id : nil, isFolder ? after?.id : nil)
            try compare(old, new, prefix: path + "/", depth: depth + 1, within)
            if changes.count == count, wasFolder != isFolder {
                changes.append(TreeChange(path: path, before: before, after: after))
                return
            }
        }
        if (before != nil && !wasFolder) || (after != nil && !isFolder) {
            changes.append(
                TreeChange(path: path, before: wasFolder ? nil : before, after: isFolder ? nil : after)
            )
        }
    }
}
