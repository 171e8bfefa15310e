import EnsignHost
import EnsignJSON
import EnsignLedger
import EnsignModel
import EnsignSystem
import Glibc
import Synchronization

/// Keeps the bundles of one plan: the first ones in memory, all others in a file without a name.
///
/// Where there is no room for such a file, they stay in memory.
final class DiskShelf: BundleShelf {
    private let folders: [String]
    private let state = Mutex(State())

    private struct State {
        /// What may still stay in memory, in bytes.
        var room = 4 << 20
        var file: NamelessFile?
        var isWithoutFile = false
    }

    init(_ site: Site) { folders = [site.files.scratch, "/var/tmp", "/tmp"] }

    func keep(_ compiled: CompiledBundle) throws -> CompiledBundle {
        let bytes = try compiled.bytes
        guard let file = file(for: bytes.count), let offset = try? file.append(bytes) else { return compiled }
        return compiled.shelved(on: self, at: ShelfPlace(offset: offset, count: bytes.count))
    }

    /// Nil where the next `count` bytes stay in memory.
    private func file(for count: Int) -> NamelessFile? {
        state.withLock { state in
            if state.room >= count {
                state.room -= count
                return nil
            }
            if state.file == nil, !state.isWithoutFile {
                state.file = folders.lazy.compactMap { try? NamelessFile(in: $0) }.first
                state.isWithoutFile = state.file == nil
            }
            return state.file
        }
    }

    func bytes(at place: ShelfPlace) throws -> [UInt8] {
        guard let file = state.withLock({ $0.file }) else { preconditionFailure("a place is in the file") }
        return try file.read(place.count, at: place.offset)
    }

    func bundle(at place: ShelfPlace) throws -> Bundle {
        let bytes = try bytes(at: place)
        guard let json = try? JSONParser.parse(bytes), let bundle = Bundle(json: json) else {
            // It was compiled: only the disk can have made something else of it.
            throw SystemError(code: EIO, operation: "read a bundle that was put aside")
        }
        return bundle
    }
}
