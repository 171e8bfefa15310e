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
    /// Equal subtrees are not read: the cost follows the change, not the size of the fleet.
    ///
    /// - Parameters:
    ///   - within: Only paths for which this returns true are entered or reported; asked for folders and files.
    package func differences(
        from old: ObjectID?,
        to new: ObjectID?,
        prefix: String = "",
        within: (String) -> Bool = { _ in true }
    ) throws -> [TreeChange] {
        guard old != new else { return [] }
        var changes: [TreeChange] = []
        try TreeObject.compare(old.map { try treeObject($0) } ?? .empty, new.map { try treeObject($0) } ?? .empty) {
            guard let name = $0?.name ?? $1?.name else { return }
            try compare($0, $1, prefix + String(decoding: name, as: UTF8.self), within, &changes)
        }
        return changes.sorted { $0.path < $1.path }
    }

    private func compare(
        _ before: TreeEntry?,
        _ after: TreeEntry?,
        _ path: String,
        _ within: (String) -> Bool,
        _ changes: inout [TreeChange]
    ) throws {
        guard within(path) else { return }
        let (wasFolder, isFolder) = (before?.mode == .directory, after?.mode == .directory)
        if wasFolder || isFolder {
            let inside = try differences(
                from: wasFolder ? before?.id : nil,
                to: isFolder ? after?.id : nil,
                prefix: path + "/",
                within: within
            )
            // A folder without files comes and goes too: no checkout shows it, and a listing does.
            if inside.isEmpty, wasFolder != isFolder {
                changes.append(TreeChange(path: path, before: before, after: after))
                return
            }
            changes += inside
        }
        if (before != nil && !wasFolder) || (after != nil && !isFolder) {
            changes.append(
                TreeChange(path: path, before: wasFolder ? nil : before, after: isFolder ? nil : after)
            )
        }
    }

    /// Every file below a tree with its path, in git's order.
    package func forEachFile(in tree: ObjectID, prefix: String = "", _ body: (String, TreeEntry) throws -> Void) throws
    {
        for entry in try self.tree(tree) {
            let path = prefix + String(decoding: entry.name, as: UTF8.self)
            if entry.mode == .directory {
                try forEachFile(in: entry.id, prefix: path + "/", body)
            } else {
                try body(path, entry)
            }
        }
    }
}
