package import EnsignModel

/// One immutable state of a fleet repository: a commit's tree, or a directory.
///
/// Not for concurrent use: each thread opens its own.
package protocol Snapshot: AnyObject {
    /// The folder that holds `fleet/` and `environments/`.
    var root: SnapshotNode { get }

    /// What is in a folder, in the order of the names' bytes.
    func children(of node: SnapshotNode) throws -> [SnapshotNode]

    /// A file's size in bytes, without reading it.
    func size(of node: SnapshotNode) throws -> Int

    /// A file's bytes.
    func bytes(of node: SnapshotNode) throws -> [UInt8]

    /// How many files and folders there are below `fleet/` and `environments/`, without visiting each; what is equal is
    /// counted once and multiplied. Counting may end above `limit`. 0 where only a walk can tell.
    func countEntries(upTo limit: Int) throws -> Int
}

extension Snapshot {
    package func countEntries(upTo limit: Int) throws -> Int { 0 }
}

/// A file or folder of a snapshot.
package struct SnapshotNode: Sendable {
    package enum Kind: Sendable, Hashable {
        case file, directory, symlink, submodule, other
    }

    /// The name's bytes, as text where they are UTF-8.
    package var name: String
    package var kind: Kind
    /// The git object; nil in a directory on disk.
    package var id: ObjectID?
    /// Its path on disk; nil in git.
    package var location: String?
    /// Whether the name's bytes are UTF-8.
    package var isText: Bool
    /// Whether the name is longer than any file's on disk; a git tree can have such names. Then `name` is its beginning.
    package let isTooLong: Bool

    /// The most bytes that a file's name can have on Linux.
    package static let maxName = 255

    package init(name: String, kind: Kind, id: ObjectID? = nil, location: String? = nil, isText: Bool = true) {
        isTooLong = name.utf8.count > Self.maxName
        self.name = isTooLong ? name.cut(utf8: Self.maxName) : name
        self.kind = kind
        self.id = id
        self.location = location
        self.isText = isText
    }
}
