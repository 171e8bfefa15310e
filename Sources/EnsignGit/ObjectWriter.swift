package import EnsignModel

/// Writes objects and remembers them, so that one sync makes all of them durable before a reference moves.
package struct ObjectWriter {
    package let repository: Repository
    /// How many objects were written.
    package private(set) var count = 0
    private var written: [(id: ObjectID, kind: ObjectKind, bytes: [UInt8])] = []

    /// The most objects whose bytes are kept: more are made durable together, without looking at each.
    package static let fewObjects = 400

    package init(_ repository: Repository) {
        self.repository = repository
    }

    package mutating func write(_ bytes: [UInt8], _ kind: ObjectKind) throws(GitError) -> ObjectID {
        let id = try repository.write(bytes, kind)
        note(1)
        if count <= Self.fewObjects { written.append((id, kind, bytes)) }
        return id
    }

    /// Counts objects that somebody else has written for it.
    package mutating func note(_ more: Int) {
        count += more
        if count > Self.fewObjects { written = [] }
    }

    /// The ids of everything that was written, each once; of no more than ``fewObjects``.
    package var ids: [ObjectID] {
        var seen: Set<ObjectID> = []
        return written.compactMap { seen.insert($0.id).inserted ? $0.id : nil }
    }

    /// What was written under an id, of no more than ``fewObjects``; nil if nothing was.
    package func written(_ id: ObjectID) -> (kind: ObjectKind, bytes: [UInt8])? {
        written.first { $0.id == id }.map { ($0.kind, $0.bytes) }
    }

    /// Writes a tree that is `base` with some files set and others removed. Folders that become empty vanish.
    ///
    /// Only folders on the way to an edit are read and written.
    ///
    /// - Parameter edits: By `/`-separated path: a blob to put there, or nil to remove what is there.
    /// - Returns: nil when nothing is left.
    package mutating func tree(_ base: ObjectID?, edits: [String: ObjectID?]) throws -> ObjectID? {
        var root = Folder()
        for (path, blob) in edits { root.add(path.split(separator: "/")[...], blob) }
        return try write(root, base)
    }

    private final class Node {
        var folder: Folder
        init(_ folder: Folder) { self.folder = folder }
    }

    /// Edits arranged as the folders that they touch.
    private struct Folder {
        var files: [String: ObjectID?] = [:]
        var folders: [String: Node] = [:]

        mutating func add(_ path: ArraySlice<Substring>, _ blob: ObjectID?) {
            guard let first = path.first else { return }
            if path.count == 1 {
                files[String(first)] = .some(blob)
            } else {
                let node = folders[String(first)] ?? Node(Folder())
                node.folder.add(path.dropFirst(), blob)
                folders[String(first)] = node
            }
        }
    }

    private mutating func write(_ folder: Folder, _ base: ObjectID?) throws -> ObjectID? {
        let before = try base.map { try repository.treeObject($0) } ?? .empty
        var edits: [[UInt8]: TreeEntry?] = [:]
        for (name, blob) in folder.files {
            let key = Array(name.utf8)
            edits[key] = .some(blob.map { TreeEntry(name: key, mode: .file, id: $0) })
        }
        for (name, node) in folder.folders {
            let key = Array(name.utf8)
            let present = before.entry(named: name).flatMap { $0.mode == .directory ? $0.id : nil }
            edits[key] = .some(try write(node.folder, present).map { TreeEntry(name: key, mode: .directory, id: $0) })
        }
        guard let tree = before.replacing(edits) else { return nil }
        let id = try write(tree.bytes, .tree)
        repository.remember(tree, id)
        return id
    }
}
