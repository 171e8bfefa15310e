import EnsignJSON
import EnsignModel
import EnsignPolicy
import EnsignSystem
import Synchronization

/// The newest entry that was seen of each file of the live directory, kept for the next process: nobody can bring back what
/// was live before.
///
/// A file for each file, written when something newer is seen: what it costs follows what changes. Other processes write
/// here as well, so a file that was written since is read again.
final class SeenStore: Sendable {
    private struct Known {
        var seen: SeenEntries
        var status: FileStatus?
    }

    private let folder: String
    private let environment: String
    private let keys: LiveKeys
    private let known = Mutex<[String: Known]>([:])

    init(state: String, environment: String, keys: LiveKeys) {
        folder = "\(state)/seen"
        self.environment = environment
        self.keys = keys
    }

    /// Remembers a file that is proven, or refuses it because a newer one was seen.
    ///
    /// - Returns: What is kept about it: as long as that is the same, nothing newer was seen. Nil right after it was written,
    ///   as another process may have written since.
    @discardableResult
    func admit(_ proven: LiveProof.Proven, as file: LiveProof.File) throws(LiveTrouble) -> FileStatus? {
        let path = path(of: file)
        let result: Result<FileStatus?, LiveTrouble> = known.withLock { known in
            Result { () throws(LiveTrouble) in try admit(proven, file, path, &known) }
        }
        return try result.get()
    }

    private func admit(
        _ proven: LiveProof.Proven,
        _ file: LiveProof.File,
        _ path: String,
        _ known: inout [String: Known]
    ) throws(LiveTrouble) -> FileStatus? {
        do {
            let status = try Files.status(path)
            var entry = known[path] ?? Known(seen: SeenEntries(), status: nil)
            if entry.status != status, status != nil { entry = Known(seen: try Self.read(path), status: status) }
            let before = entry.seen
            switch entry.seen.admit(proven, as: file, of: environment, keys: keys) {
            case .older(let newer):
                throw LiveTrouble("\(file.path) is of entry \(proven.entry), and entry \(newer) of it was live before")
            case .current: break
            }
            if entry.seen != before || status == nil {
                try Files.makeDirectories(folder, mode: 0o700)
                let bytes = entry.seen.json.canonicalBytes() + [0x0A]
                try Files.replace(path, with: bytes, mode: 0o600)
                entry.status = nil
            }
            known[path] = entry
            return entry.status
        } catch let error as LiveTrouble {
            throw error
        } catch {
            throw LiveTrouble("what was seen before cannot be kept: \(error)")
        }
    }

    /// Where what was seen of a file is kept.
    func path(of file: LiveProof.File) -> String { "\(folder)/\(file.path.replacing("/", with: "+"))" }

    /// What is kept there, as far as its status tells; nil for nothing.
    func status(_ path: String) throws(LiveTrouble) -> FileStatus? {
        do throws(SystemError) { return try Files.status(path) } catch {
            throw LiveTrouble("what was seen before cannot be read: \(error)")
        }
    }

    /// Whether a file was ever there.
    func knows(_ file: LiveProof.File) throws(LiveTrouble) -> Bool { try status(path(of: file)) != nil }

    /// A file that cannot be understood is not taken for nothing: then anything could be brought back.
    private static func read(_ path: String) throws -> SeenEntries {
        guard let bytes = try Files.readOwn(path, limit: 1 << 20), let json = try? JSONParser.parse(bytes),
            let seen = SeenEntries(json: json)
        else { throw LiveTrouble("\(path) is not what this gateway wrote; look into it, then remove it") }
        return seen
    }
}
