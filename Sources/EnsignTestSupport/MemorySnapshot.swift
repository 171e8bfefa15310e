package import EnsignManifest

/// A fleet that exists in memory only, with everything that git can hold and a file system cannot.
package final class MemorySnapshot: Snapshot {
    /// What is at a path.
    package enum Entry: Sendable {
        case text(String)
        case bytes([UInt8])
        case symlink
        case submodule
        /// A mode that git knows and Ensign does not.
        case other
        case folder
        /// A file with only a known size. Reading it fails the test.
        case huge(Int)
    }

    private final class Node {
        var node: SnapshotNode
        var entry: Entry
        var children: [[UInt8]: Node] = [:]
        /// The children in order; forgotten when one is added.
        var sorted: [SnapshotNode]?

        init(_ name: [UInt8], _ entry: Entry, _ location: String) {
            let text = String(validating: name, as: UTF8.self)
            let kind: SnapshotNode.Kind =
                switch entry {
                case .text, .bytes, .huge: .file
                case .symlink: .symlink
                case .submodule: .submodule
                case .other: .other
                case .folder: .directory
                }
            node = SnapshotNode(
                name: text ?? String(decoding: name, as: UTF8.self),
                kind: kind,
                location: location,
                isText: text != nil
            )
            self.entry = entry
        }
    }

    package let root = SnapshotNode(name: "", kind: .directory, location: "")
    private let top = Node([], .folder, "")
    private var byLocation: [String: Node] = [:]
    /// Locations of the files that were read, in order.
    package private(set) var reads: [String] = []

    /// - Parameter entries: By path; folders on the way are created.
    package init(_ entries: [String: Entry]) {
        byLocation[""] = top
        for (path, entry) in entries { add(entry, path.split(separator: "/").map { Array($0.utf8) }) }
    }

    package convenience init(files: [String: String]) {
        self.init(files.mapValues { .text($0) })
    }

    /// Adds an entry that no path can name: an entry whose name has a slash, is empty, or is not UTF-8.
    package func add(_ entry: Entry, named name: [UInt8], in folder: String) {
        add(entry, folder.split(separator: "/").map { Array($0.utf8) } + [name])
    }

    private func add(_ entry: Entry, _ path: [[UInt8]]) {
        var node = top
        for (depth, name) in path.enumerated() {
            let isLast = depth == path.count - 1
            if let known = node.children[name] {
                node = known
                continue
            }
            let location = "\(byLocation.count)"
            let child = Node(name, isLast ? entry : .folder, location)
            byLocation[location] = child
            node.children[name] = child
            node.sorted = nil
            node = child
        }
    }

    package func children(of node: SnapshotNode) throws -> [SnapshotNode] {
        guard let found = byLocation[node.location ?? ""] else { return [] }
        if let sorted = found.sorted { return sorted }
        let sorted = found.children.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value.node)
        found.sorted = sorted
        return sorted
    }

    package func size(of node: SnapshotNode) throws -> Int {
        switch byLocation[node.location ?? ""]?.entry {
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        case .huge(let size): size
        case .symlink, .submodule, .other, .folder, nil: 0
        }
    }

    package func bytes(of node: SnapshotNode) throws -> [UInt8] {
        reads.append(node.name)
        switch byLocation[node.location ?? ""]?.entry {
        case .text(let text): return Array(text.utf8)
        case .bytes(let bytes): return bytes
        case .huge: throw ReadOfHugeFile(name: node.name)
        case .symlink, .submodule, .other, .folder, nil: return []
        }
    }

    /// A test read a file that should have been refused by its size.
    package struct ReadOfHugeFile: Error {
        package var name: String
    }
}
