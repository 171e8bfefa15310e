package import EnsignManifest

/// A snapshot in which one existing file has other bytes.
package final class OverlaySnapshot: Snapshot {
    package let root: SnapshotNode
    private let base: any Snapshot
    private let path: String
    private let replacement: [UInt8]

    /// - Parameter base: A snapshot of git: `location` tells the nodes on the way to the file apart, and git's nodes
    ///   have none.
    package init(_ base: any Snapshot, path: String, bytes: [UInt8]) {
        self.base = base
        self.path = path
        replacement = bytes
        var root = base.root
        root.location = ""
        self.root = root
    }

    package func children(of node: SnapshotNode) throws -> [SnapshotNode] {
        let children = try base.children(of: node)
        guard let place = node.location else { return children }
        return children.map { child in
            var child = child
            let own = place.isEmpty ? child.name : "\(place)/\(child.name)"
            if path == own || path.hasPrefix(own + "/") { child.location = own }
            return child
        }
    }

    package func size(of node: SnapshotNode) throws -> Int {
        node.location == path ? replacement.count : try base.size(of: node)
    }

    package func bytes(of node: SnapshotNode) throws -> [UInt8] {
        node.location == path ? replacement : try base.bytes(of: node)
    }
}
