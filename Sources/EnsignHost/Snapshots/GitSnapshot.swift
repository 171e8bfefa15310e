package import EnsignGit
package import EnsignManifest
package import EnsignModel

/// A fleet as a git tree holds it. Never a checkout.
package final class GitSnapshot: Snapshot {
    private let repository: Repository
    package let root: SnapshotNode

    package init(_ repository: Repository, tree: ObjectID) {
        self.repository = repository
        root = SnapshotNode(name: "", kind: .directory, id: tree)
    }

    package func children(of node: SnapshotNode) throws -> [SnapshotNode] {
        guard let id = node.id else { return [] }
        return try repository.tree(id).map { entry in
            let name = String(validating: entry.name, as: UTF8.self)
            return SnapshotNode(
                name: name ?? String(decoding: entry.name, as: UTF8.self),
                kind: SnapshotNode.Kind(entry.mode),
                id: entry.id,
                isText: name != nil
            )
        }
    }

    package func size(of node: SnapshotNode) throws -> Int {
        guard let id = node.id else { return 0 }
        return try repository.header(of: id).size
    }

    package func bytes(of node: SnapshotNode) throws -> [UInt8] {
        guard let id = node.id else { return [] }
        return try repository.bytes(of: id, .blob)
    }
}

extension SnapshotNode.Kind {
    fileprivate init(_ mode: TreeEntry.Mode) {
        switch mode {
        case .file, .executable: self = .file
        case .directory: self = .directory
        case .symlink: self = .symlink
        case .submodule: self = .submodule
        case .other: self = .other
        }
    }
}
