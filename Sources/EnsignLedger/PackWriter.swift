import EnsignCrypto
import EnsignGit
import EnsignModel
import EnsignSystem
import Glibc
import Synchronization

/// Writes many blobs as one pack. To make a file for each takes longer than to write what is in it, and git would soon
/// pack them itself.
///
/// The pack is put together in a folder that is named as those for what git receives, so that `git prune` clears what a
/// crash leaves. It is among the other packs whole or not at all, and not durable by itself: see ``ObjectSync``.
struct PackWriter {
    let repository: Repository
    let environment: String

    /// How much is written, and handed to the indexer, at a time: in bytes.
    private static let part = 1 << 20

    /// - Parameter files: By path; nil is a file that goes. The caller holds the environment's lock.
    func write(_ files: [(key: String, value: FileContent?)]) throws -> [FileEdit] {
        let objects = repository.commonDirectory + "objects"
        let folder = "\(objects)/tmp_objdir-ensign-\(environment)"
        try Files.removeTree(folder)
        try Files.makeDirectories(folder)
        // Also where the disk is full: others need the room.
        defer { try? Files.removeTree(folder) }
        try Files.makeDirectories("\(objects)/pack")
        let entries = try Entries(path: "\(folder)/entries")
        let threads = min(Parallel.cores, 8)
        let parts = try Parallel.map(threads) { index in
            var batch: [UInt8] = []
            let edits = try stride(from: index, to: files.count, by: threads).map { place in
                let (path, content) = files[place]
                if batch.count >= Self.part { try entries.append(&batch) }
                return FileEdit(path: path, blob: try content.map { try entries.add(try $0.read(), to: &batch) })
            }
            try entries.append(&batch)
            return edits
        }
        let pack = try index(entries, in: folder)
        // git looks for packs by their index.
        for file in ["\(pack).pack", "\(pack).idx"] {
            try Files.rename("\(folder)/\(file)", to: "\(objects)/pack/\(file)")
            repository.share("objects/pack/\(file)")
        }
        return Array(parts.joined())
    }

    private func index(_ entries: Entries, in folder: String) throws -> String {
        let indexer = try PackIndexer(in: folder)
        var checksum = SHA1()
        func append(_ bytes: [UInt8]) throws {
            checksum.add(bytes)
            try indexer.append(bytes)
        }
        try append(PackEntry.header(count: entries.count))
        try entries.read(Self.part, append)
        try indexer.append(checksum.digest())
        return try indexer.finish()
    }

    /// The entries of the pack, in whatever order the threads write them; how many there are is known at the end.
    private final class Entries: Sendable {
        private let file: FileDescriptor
        private let path: String
        private let state = Mutex<(known: Set<ObjectID>, end: Int64)>(([], 0))

        init(path: String) throws(SystemError) {
            file = try FileDescriptor(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600, operation: "make \(path)")
            self.path = path
        }

        var count: Int { state.withLock { $0.known.count } }

        /// Adds a blob to those that a thread will append; once, whichever thread has it.
        func add(_ bytes: [UInt8], to batch: inout [UInt8]) throws -> ObjectID {
            let id = Repository.objectID(of: bytes, .blob)
            if state.withLock({ $0.known.insert(id).inserted }) { batch += PackEntry.bytes(bytes, .blob) }
            return id
        }

        /// Writes whole entries, and empties the batch.
        func append(_ batch: inout [UInt8]) throws {
            let count = Int64(batch.count)
            let offset = state.withLock { state in
                defer { state.end += count }
                return state.end
            }
            try file.write(batch, at: offset, to: path)
            batch.removeAll(keepingCapacity: true)
        }

        /// All of them, some at a time.
        func read(_ part: Int, _ body: ([UInt8]) throws -> Void) throws {
            let end = state.withLock { $0.end }
            var offset: Int64 = 0
            while offset < end {
                var bytes: [UInt8] = []
                let count = try file.read(at: offset, count: part, appendingTo: &bytes, from: path)
                guard count > 0 else { throw SystemError(code: EIO, operation: "read \(path)") }
                try body(bytes)
                offset += Int64(count)
            }
        }
    }
}
