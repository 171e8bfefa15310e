package import EnsignManifest
import EnsignSystem

/// A fleet as files on disk, for checking before anything is committed.
package final class DirectorySnapshot: Snapshot {
    package let root: SnapshotNode

    package init(path: String) {
        root = SnapshotNode(name: "", kind: .directory, location: path)
    }

    package func children(of node: SnapshotNode) throws -> [SnapshotNode] {
        guard let location = node.location else { return [] }
        return try (Files.entries(location) ?? []).map { entry in
            let kind: SnapshotNode.Kind =
                switch entry.status.kind {
                case .file: .file
                case .directory: .directory
                case .symlink: .symlink
                case .other: .other
                }
            // Nothing of a name that is not text is looked into: it is refused.
            guard let name = String(validating: entry.name, as: UTF8.self) else {
                let text = String(decoding: entry.name, as: UTF8.self)
                return SnapshotNode(name: text, kind: kind, isText: false)
            }
            return SnapshotNode(name: name, kind: kind, location: "\(location)/\(name)")
        }
    }

    package func size(of node: SnapshotNode) throws -> Int {
        guard let location = node.location, let status = try Files.status(location) else { return 0 }
        return Int(status.size)
    }

    package func bytes(of node: SnapshotNode) throws -> [UInt8] {
        guard let location = node.location else { return [] }
        return try Files.read(location, limit: 1 << 24) ?? []
    }
}
