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

    package func countEntries(upTo limit: Int) throws -> Int {
        var counter = TreeCounter(repository: repository, limit: limit)
        var total = 0
        for entry in try repository.tree(root.id ?? .zero) where entry.mode == .directory {
            let name = String(decoding: entry.name, as: UTF8.self)
            guard name == RepositoryPath.fleet || name == RepositoryPath.environments else { continue }
            total = total.adding(saturating: try counter.count(entry.id, depth: 0))
        }
        return total
    }
}

/// Counts what trees hold, each distinct tree once.
private struct TreeCounter {
    let repository: Repository
    let limit: Int
    private var known: [Place: Int] = [:]

    private struct Place: Hashable {
        var tree: ObjectID
        var depth: Int
    }

    /// No manifest is deeper than this.
    private static let maxDepth = 8

    init(repository: Repository, limit: Int) {
        (self.repository, self.limit) = (repository, limit)
    }

    mutating func count(_ tree: ObjectID, depth: Int) throws -> Int {
        let place = Place(tree: tree, depth: depth)
        if let known = known[place] { return known }
        guard known.count < limit else { return .max }
        var total = 0
        for entry in try repository.tree(tree) {
            total = total.adding(saturating: 1)
            guard entry.mode == .directory, depth < Self.maxDepth, total <= limit else { continue }
            total = total.adding(saturating: try count(entry.id, depth: depth + 1))
        }
        known[place] = total
        return total
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
