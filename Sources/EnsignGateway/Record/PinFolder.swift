import EnsignCrypto
package import EnsignModel
import EnsignSystem
import Synchronization

/// Definitions that no manifest pins, as they were first seen: `pins/<tool>/=<operation>=<fingerprint>.sha256`, with one of the
/// server's name and the credentials' reference.
///
/// Gateways before that kept `=<operation>.sha256`, for whatever the operation was on the server. Such a file counts where there
/// is none of the newer form.
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

    package func pinned(
        _ place: PinPlace,
        seen: Digest,
        isOther: (Digest) -> Bool
    ) throws(RecordFailure) -> (pin: Digest, isNew: Bool) {
        if let kept = try kept(place, isOther: isOther) { return (kept, false) }
        let bytes = Array("\(seen)\n".utf8)
        try recording { try Files.makeDirectories("\(path)/\(place.tool)", mode: 0o700) }
        // Somebody else may have been first: then that counts.
        if try recording({ try Files.create(file(place), with: bytes, mode: 0o600) }) { return (seen, true) }
        return (try kept(place, isOther: isOther) ?? seen, false)
    }

    /// What was kept; nil where nothing was.
    ///
    /// - Parameter isOther: As for ``pinned(_:seen:isOther:)``.
    package func kept(_ place: PinPlace, isOther: (Digest) -> Bool) throws(RecordFailure) -> Digest? {
        if let kept = try read(file(place)) { return kept }
        // A digest is also over the server's name of the tool: that of another one was never kept for this one.
        guard let old = try read(oldFile(place)), !isOther(old) else { return nil }
        return old
    }

    private func read(_ file: String) throws(RecordFailure) -> Digest? {
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
    package func accept(_ place: PinPlace, _ digest: Digest) throws(RecordFailure) {
        try recording {
            try Files.makeDirectories("\(path)/\(place.tool)", mode: 0o700)
            try Files.replace(file(place), with: Array("\(digest)\n".utf8), mode: 0o600)
        }
    }

    /// Whether anything was kept of a tool. What cannot be read is not known.
    package func knows(_ tool: String) -> Bool { ((try? Files.list("\(path)/\(tool)")) ?? nil)?.isEmpty == false }

    /// Names of operations may begin with a dot; that of a file may not. None has an equals sign.
    private func file(_ place: PinPlace) -> String {
        let definition: JSONValue = [.string(place.serverTool), place.reference.map(JSONValue.string) ?? .null]
        let fingerprint = SHA256.hex(of: definition.canonicalBytes()).prefix(32)
        return "\(path)/\(place.tool)/=\(place.operation)=\(fingerprint).sha256"
    }

    private func oldFile(_ place: PinPlace) -> String { "\(path)/\(place.tool)/=\(place.operation).sha256" }
}
