import EnsignCrypto
import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignSystem
import Glibc
import Synchronization

/// Keeps the files of one plan: the first ones in memory, all others in a file without a name.
///
/// Where there is no room for such a file, they stay in memory.
final class DiskShelf: BundleShelf {
    private let folders: [String]
    private let state: Mutex<State>

    private struct State {
        /// What may still stay in memory, in bytes.
        var room: Int
        var file: NamelessFile?
        var isWithoutFile = false
    }

    convenience init(_ site: Site) { self.init(folders: [site.files.scratch, "/var/tmp", "/tmp"], room: 4 << 20) }

    /// - Parameters:
    ///   - folders: The first that takes such a file has it.
    ///   - room: What stays in memory, in bytes.
    init(folders: [String], room: Int) {
        self.folders = folders
        state = Mutex(State(room: room))
    }

    func keep(_ compiled: CompiledBundle) throws -> CompiledBundle {
        guard let place = place(for: try compiled.bytes) else { return compiled }
        return compiled.shelved(on: self, at: place)
    }

    func keep(_ bytes: [UInt8]) -> FileContent { place(for: bytes).map { .shelved(self, $0) } ?? .bytes(bytes) }

    /// Puts bytes aside; nil where they stay in memory.
    private func place(for bytes: [UInt8]) -> ShelfPlace? {
        guard let file = file(for: bytes.count), let offset = try? file.append(bytes) else { return nil }
        return ShelfPlace(offset: offset, count: bytes.count, check: Self.check(bytes))
    }

    /// Nil where the next `count` bytes stay in memory.
    private func file(for count: Int) -> NamelessFile? {
        state.withLock { state in
            if state.room >= count {
                state.room -= count
                return nil
            }
            if state.file == nil, !state.isWithoutFile {
                state.file = folders.lazy.filter(Self.hasRoom).compactMap { try? NamelessFile(in: $0) }.first
                state.isWithoutFile = state.file == nil
            }
            return state.file
        }
    }

    /// What must be free where something is put aside, in bytes: the ledger and the live files come first.
    private static let reserve: Int64 = 1 << 30

    private static func hasRoom(_ folder: String) -> Bool { (Files.freeBytes(folder) ?? 0) >= reserve }

    private static func check(_ bytes: [UInt8]) -> UInt64 {
        SHA256.digest(of: bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    // It was written: only the disk can have made something else of it.
    private static let damaged = SystemError(code: EIO, operation: "read what was put aside")

    func bytes(at place: ShelfPlace) throws -> [UInt8] {
        guard let file = state.withLock({ $0.file }) else { preconditionFailure("a place is in the file") }
        let bytes = try file.read(place.count, at: place.offset)
        guard Self.check(bytes) == place.check else { throw Self.damaged }
        return bytes
    }

    func bundle(at place: ShelfPlace) throws -> Bundle {
        let bytes = try bytes(at: place)
        guard let json = try? JSONParser.parse(bytes), let bundle = Bundle(json: json) else {
            throw Self.damaged
        }
        return bundle
    }
}
