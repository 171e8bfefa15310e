package import EnsignManifest

/// A snapshot that takes files and folders below some places from another one where they are missing.
///
/// Versions never change once they exist, so a deleted one is still what it was.
package final class FallbackSnapshot: Snapshot {
    package let root: SnapshotNode
    private let base: any Snapshot
    private let other: any Snapshot
    private let places: [String]
    /// Nodes are known by a number in `location`, which git's snapshots do not use.
    private var parts: [Part] = []

    private struct Part {
        var path: String
        var base: SnapshotNode?
        var other: SnapshotNode?
    }

    /// - Parameters:
    ///   - base: What is looked at first.
    ///   - places: Folders below which `other` counts too, as `fleet/tools`.
    package init(_ base: any Snapshot, _ other: any Snapshot, below places: [String]) {
        (self.base, self.other, self.places) = (base, other, places)
        var root = base.root
        root.location = "0"
        self.root = root
        parts = [Part(path: "", base: base.root, other: other.root)]
    }

    private func part(_ node: SnapshotNode) -> Part? {
        guard let number = node.location.flatMap({ Int($0) }), parts.indices.contains(number) else { return nil }
        return parts[number]
    }

    package func children(of node: SnapshotNode) throws -> [SnapshotNode] {
        guard let part = part(node) else { return [] }
        let own = try part.base.map { try base.children(of: $0) } ?? []
        let others = try part.other.map { try other.children(of: $0) } ?? []
        let isOpen = places.contains { part.path == $0 || part.path.hasPrefix($0 + "/") }
        var found = own.map { child in
            add(child, part.path, base: child, other: others.first { $0.name == child.name && $0.kind == child.kind })
        }
        // A place that is gone from the base is found from the folders above it.
        func leadsToPlace(_ name: String) -> Bool {
            let path = part.path.isEmpty ? name : "\(part.path)/\(name)"
            return places.contains { $0 == path || $0.hasPrefix(path + "/") }
        }
        let names = Set(own.map(\.name))
        let missing = others.filter { !names.contains($0.name) && (isOpen || leadsToPlace($0.name)) }
        if !missing.isEmpty {
            found += missing.map { add($0, part.path, base: nil, other: $0) }
            found.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        }
        return found
    }

    private func add(_ node: SnapshotNode, _ folder: String, base: SnapshotNode?, other: SnapshotNode?) -> SnapshotNode
    {
        var node = node
        node.location = String(parts.count)
        parts.append(Part(path: folder.isEmpty ? node.name : "\(folder)/\(node.name)", base: base, other: other))
        return node
    }

    package func size(of node: SnapshotNode) throws -> Int {
        guard let part = part(node) else { return 0 }
        return try part.base.map { try base.size(of: $0) } ?? part.other.map { try other.size(of: $0) } ?? 0
    }

    package func bytes(of node: SnapshotNode) throws -> [UInt8] {
        guard let part = part(node) else { return [] }
        return try part.base.map { try base.bytes(of: $0) } ?? part.other.map { try other.bytes(of: $0) } ?? []
    }
}
