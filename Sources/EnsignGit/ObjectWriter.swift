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
    /// - Returns: nil when nothing is left.
    package mutating func tree(_ base: ObjectID?, _ edits: consuming [FileEdit]) throws -> ObjectID? {
        // What is in one folder is side by side then.
        edits.sort { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
        return try write(edits[...], below: 0, base)
    }

    /// - Parameter edits: By `/`-separated path: a blob to put there, or nil to remove what is there.
    package mutating func tree(_ base: ObjectID?, edits: [String: ObjectID?]) throws -> ObjectID? {
        try tree(base, edits.map { FileEdit(path: $0.key, blob: $0.value) })
    }

    /// - Parameter start: Where the names in this folder begin in the paths, in bytes.
    private mutating func write(
        _ edits: ArraySlice<FileEdit>,
        below start: Int,
        _ base: ObjectID?
    ) throws -> ObjectID? {
        let before = try base.map { try repository.treeObject($0) } ?? .empty
        var changes: [[UInt8]: TreeEntry?] = [:]
        var rest = edits
        while let first = rest.first {
            let name = Array(first.path.utf8.dropFirst(start).prefix { $0 != 0x2F })
            let end = start + name.count
            guard first.path.utf8.count > end else {
                changes[name] = .some(first.blob.map { TreeEntry(name: name, mode: .file, id: $0) })
                rest = rest.dropFirst()
                continue
            }
            let inside = rest.prefix { edit in
                let path = edit.path.utf8.dropFirst(start)
                return path.starts(with: name) && path.dropFirst(name.count).first == 0x2F
            }
            let folderName = String(decoding: name, as: UTF8.self)
            let present = before.entry(named: folderName).flatMap { $0.mode == .directory ? $0.id : nil }
            let folder = try write(inside, below: end + 1, present)
            changes[name] = .some(folder.map { TreeEntry(name: name, mode: .directory, id: $0) })
            rest = rest[inside.endIndex...]
        }
        guard let tree = before.replacing(changes) else { return nil }
        let id = try write(tree.bytes, .tree)
        repository.remember(tree, id)
        return id
    }
}

/// One file of a tree that is written.
package struct FileEdit: Sendable {
    /// Separated by `/`.
    package var path: String
    /// What to put there; nil removes what is there.
    package var blob: ObjectID?

    package init(path: String, blob: ObjectID?) {
        self.path = path
        self.blob = blob
    }
}
