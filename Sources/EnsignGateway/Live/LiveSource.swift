package import EnsignModel
import EnsignPolicy
import EnsignSystem
import Synchronization

/// The live directory, as soon as there is one: a gateway may start before its disk is mounted, and recovers by itself.
///
/// The environment is the one that was found first, for as long as the state stays: another live directory in its place is
/// trouble, not another environment. Safe from any number of threads.
package final class LiveSource: Sendable {
    private struct Known {
        /// Whoever owned the directory when it was first seen, if nobody said who must.
        var owner: UInt32?
        var reader: LiveReader?
        /// The file of the keys that the reader believes, as it was before it was read.
        var keys: FileStatus?
    }

    private let live: String
    private let keys: String
    private let maxAge: TimeSpan?
    private let state: String
    private let patience: Duration
    private let known: Mutex<Known>

    /// - Parameters:
    ///   - keys: The file of the operator's keys.
    ///   - owner: The account that must own the directory; nil for whoever does when it is first seen.
    ///   - state: The gateway's own folder; must exist.
    package init(
        live: String,
        keys: String,
        owner: UInt32?,
        maxAge: TimeSpan?,
        state: String,
        patience: Duration = .milliseconds(200)
    ) {
        (self.live, self.keys, self.maxAge, self.state, self.patience) = (live, keys, maxAge, state, patience)
        known = Mutex(Known(owner: owner))
    }

    /// The account that must own the directory, as far as that is known.
    package var owner: UInt32? { known.withLock { $0.owner } }

    /// The reader of the directory; another one after the operator's keys have changed.
    package func ready() throws(LiveTrouble) -> LiveReader {
        let result: Result<LiveReader, LiveTrouble> = known.withLock { known in
            Result { () throws(LiveTrouble) in
                let status = try statusOfKeys()
                if let reader = known.reader, known.keys == status { return reader }
                // Whose key was taken out is believed no longer, whatever becomes of the rest.
                known.reader = nil
                let found = try open(&known)
                (known.reader, known.keys) = (found, status)
                return found
            }
        }
        return try result.get()
    }

    private func statusOfKeys() throws(LiveTrouble) -> FileStatus? {
        do throws(SystemError) { return try Files.canonicalStatus(keys) } catch { throw LiveTrouble(error.description) }
    }

    /// The environment; empty for as long as nobody can say which one it is.
    package var knownEnvironment: String {
        if let reader = known.withLock({ $0.reader }) ?? (try? ready()) { return reader.environment }
        let line = try? Files.readOwn("\(state)/environment", limit: 256)
        return line.map { String(decoding: $0.dropLast(), as: UTF8.self) } ?? ""
    }

    private func open(_ known: inout Known) throws(LiveTrouble) -> LiveReader {
        let keys = try readKeys()
        if known.owner == nil, let path = Files.canonical(live) { known.owner = (try? Files.status(path))?.owner }
        guard let owner = known.owner else { throw LiveTrouble("there is no live directory \(live)") }
        let environment = try LiveReader.environment(of: live, owner: owner, keys: keys)
        try remember(environment)
        return LiveReader(
            live: live,
            environment: environment,
            keys: keys,
            owner: owner,
            maxAge: maxAge,
            state: state,
            patience: patience
        )
    }

    private func readKeys() throws(LiveTrouble) -> LiveKeys {
        let bytes: [UInt8]?
        do throws(SystemError) { bytes = try Files.read(keys, limit: 1 << 20) } catch {
            throw LiveTrouble(error.description)
        }
        guard let bytes else { throw LiveTrouble("there is no file \(keys)") }
        switch LiveKeys.read(bytes) {
        case .success(let read): return read
        case .failure(let problems):
            // A line's place continues the file's name.
            let joint = if case .line = problems.all[0] { ":" } else { ": " }
            throw LiveTrouble("\(keys)\(joint)\(problems.all[0])")
        }
    }

    private func remember(_ environment: String) throws(LiveTrouble) {
        let path = "\(state)/environment"
        let line = Array("\(environment)\n".utf8)
        let found: [UInt8]?
        do throws(SystemError) {
            _ = try Files.create(path, with: line, mode: 0o600)
            found = try Files.readOwn(path, limit: 256)
        } catch {
            throw LiveTrouble(error.description)
        }
        guard found == line else {
            throw LiveTrouble("\(live) is of the environment '\(environment)', and \(state) belongs to another one")
        }
    }
}
