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
        return try (Files.list(location) ?? []).compactMap { name in
            let place = "\(location)/\(name)"
            guard let status = try Files.status(place) else { return nil }
            let kind: SnapshotNode.Kind =
                switch status.kind {
                case .file: .file
                case .directory: .directory
                case .symlink: .symlink
                case .other: .other
                }
            return SnapshotNode(name: name, kind: kind, location: place)
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
