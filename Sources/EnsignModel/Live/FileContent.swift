/// What a file is to hold: in memory, or on a shelf until it is written.
package enum FileContent: Sendable {
    case bytes([UInt8])
    case shelved(any BundleShelf, ShelfPlace)

    /// - Throws: What the disk reports.
    package func read() throws -> [UInt8] {
        switch self {
        case .bytes(let bytes): bytes
        case .shelved(let shelf, let place): try shelf.bytes(at: place)
        }
    }
}

/// Keeps the content of bundles, and of what else is published with them, where it takes no memory.
package protocol BundleShelf: AnyObject, Sendable {
    /// - Throws: What the disk reports.
    func bytes(at place: ShelfPlace) throws -> [UInt8]

    /// - Throws: What the disk reports.
    func bundle(at place: ShelfPlace) throws -> Bundle
}

/// Where something is on a shelf.
package struct ShelfPlace: Sendable, Hashable {
    /// In bytes, from the beginning.
    package var offset: Int64
    /// In bytes.
    package var count: Int
    /// The first bytes of its SHA-256: a disk may give back something else.
    package var check: UInt64

    package init(offset: Int64, count: Int, check: UInt64) {
        (self.offset, self.count, self.check) = (offset, count, check)
    }
}
