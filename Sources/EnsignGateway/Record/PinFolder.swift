package import EnsignModel
import EnsignSystem
import Synchronization

/// Definitions that no manifest pins, as they were first seen: `pins/<tool>/<operation>.sha256`.
///
/// Safe from any number of threads and processes.
package final class PinFolder: PinBook {
    private struct Known {
        var status: FileStatus
        var digest: Digest
    }

    private let path: String
    /// Files as they were read last: one that has not changed is not read again.
    private let known = Mutex<[String: Known]>([:])

    package init(_ state: StateFolder) throws(RecordFailure) { path = try state.folder("pins") }

    package func pinned(tool: String, operation: String, seen: Digest) throws(RecordFailure) -> Digest {
        if let kept = try kept(tool: tool, operation: operation) { return kept }
        let file = file(tool, operation)
        let bytes = Array("\(seen)\n".utf8)
        try recording { try Files.makeDirectories("\(path)/\(tool)", mode: 0o700) }
        // Somebody else may have been first: then that counts.
        if try recording({ try Files.create(file, with: bytes, mode: 0o600) }) { return seen }
        return try kept(tool: tool, operation: operation) ?? seen
    }

    /// What was kept; nil where nothing was.
    package func kept(tool: String, operation: String) throws(RecordFailure) -> Digest? {
        let file = file(tool, operation)
        guard let status = try recording({ try Files.status(file) }) else { return nil }
        if let known = known.withLock({ $0[file] }), known.status == status { return known.digest }
        guard let bytes = try recording({ try Files.readOwn(file, limit: 256) }) else { return nil }
        guard bytes.last == 0x0A, let digest = Digest(String(decoding: bytes.dropLast(), as: UTF8.self)) else {
            throw RecordFailure("\(file) is damaged: it holds sha256: and 64 hexadecimal digits")
        }
        known.withLock { $0[file] = Known(status: status, digest: digest) }
        return digest
    }

    /// Takes another definition from now on, as an operator decided.
    package func accept(tool: String, operation: String, _ digest: Digest) throws(RecordFailure) {
        try recording {
            try Files.makeDirectories("\(path)/\(tool)", mode: 0o700)
            try Files.replace(file(tool, operation), with: Array("\(digest)\n".utf8), mode: 0o600)
        }
    }

    /// Names of operations may begin with a dot; that of a file may not.
    private func file(_ tool: String, _ operation: String) -> String { "\(path)/\(tool)/=\(operation).sha256" }
}
