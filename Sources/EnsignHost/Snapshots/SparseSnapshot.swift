import EnsignGit
import EnsignManifest

/// A work tree, with what git keeps out of it read from the index. What is on disk counts first.
final class SparseSnapshot: Snapshot {
    let root: SnapshotNode
    private let path: String
    private let files: DirectorySnapshot
    private let kept: SparseFiles
    private let repository: Repository

    init(path: String, kept: SparseFiles, repository: Repository) {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.path = path
        files = DirectorySnapshot(path: path)
        root = files.root
        (self.kept, self.repository) = (kept, repository)
    }

    func children(of node: SnapshotNode) throws -> [SnapshotNode] {
        let found = try files.children(of: node)
        guard node.id == nil, let location = node.location else { return found }
        let names = Set(found.map(\.name))
        let missing = kept.children(of: String(location.dropFirst(path.count + 1))).filter { !names.contains($0.name) }
        guard !missing.isEmpty else { return found }
        let placed = missing.map { child in
            var child = child
            // A folder that is not there is found by its place all the same.
            if child.kind == .directory { child.location = "\(location)/\(child.name)" }
            return child
        }
        return (found + placed).sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    func size(of node: SnapshotNode) throws -> Int {
        try node.id.map { try repository.header(of: $0).size } ?? files.size(of: node)
    }

    func bytes(of node: SnapshotNode) throws -> [UInt8] {
        try node.id.map { try repository.bytes(of: $0, .blob) } ?? files.bytes(of: node)
    }
}
