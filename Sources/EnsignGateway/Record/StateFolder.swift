package import EnsignCrypto
package import EnsignModel
import EnsignSystem
import Glibc

/// The gateway's state: a folder that its account alone may enter.
///
/// ```
/// gateway.key  gateway.pub     signs the heads of the log
/// log.key                      authenticates its lines, and hides arguments and keys
/// log/                         decisions, a file a day; heads.jsonl
/// approvals/                   requests, granted, used
/// flights/                     calls that must not be made twice, while they are made and for a minute (FlightFolder)
/// pins/                        definitions that no manifest pins, as they were first seen
/// runs/                        what runs and agents have done, as far as it is counted (RunBook)
/// usage.seen                   the folder of spans that was there last (UsageMark)
/// ```
package struct StateFolder: Sendable, Hashable {
    package let path: String

    /// Makes the folder, or takes the one that is there.
    ///
    /// - Throws: ``RecordFailure`` where others may read or write it, or it belongs to somebody else.
    package init(_ path: String) throws(RecordFailure) {
        self.path = path
        try recording {
            try Files.makeDirectories(path, mode: 0o700)
        }
        let status = try recording { try Files.status(path) }
        guard let status, status.kind == .directory else { throw RecordFailure("\(path) is not a folder") }
        guard status.owner == Machine.effectiveUserID else {
            throw RecordFailure("\(path) belongs to another account: the state is this account's alone")
        }
        guard status.permissions & 0o077 == 0 else {
            throw RecordFailure("\(path) is open to others: chmod 700 \(path)")
        }
    }

    package func folder(_ name: String) throws(RecordFailure) -> String {
        let folder = "\(path)/\(name)"
        try recording { try Files.makeDirectories(folder, mode: 0o700) }
        return folder
    }

    /// The key that signs heads of the log: made at the first use.
    package func signingKey() throws(RecordFailure) -> SSHPrivateKey {
        let file = "\(path)/gateway.key"
        if let key = try readKey(file) { return key }
        try requireNoLog(beside: file)
        let key = SSHPrivateKey.generate()
        let text = Array(key.openSSHText(comment: "ensign-gateway").utf8)
        // Somebody else may have been first.
        _ = try recording { try Files.create(file, with: text, mode: 0o600) }
        guard let key = try readKey(file) else { throw RecordFailure("\(file) has gone") }
        let line = Array("\(key.publicKey.line) ensign-gateway\n".utf8)
        try recording { try Files.replace("\(path)/gateway.pub", with: line) }
        return key
    }

    /// Whether a log was begun here, and there is none: somebody has moved it away, or removed it. Keys alone say nothing:
    /// `ensign-gateway check` makes them too.
    var beginsAnew: Bool {
        get throws(RecordFailure) {
            guard try recording({ try Files.status(begun) }) != nil else { return false }
            return try recording { try Files.list("\(path)/log") ?? [] }.allSatisfy { !$0.contains(".jsonl") }
        }
    }

    /// Notes that there is a log.
    func noteLog() throws(RecordFailure) {
        guard try recording({ try Files.status(begun) }) == nil else { return }
        _ = try recording { try Files.create(begun, with: [], mode: 0o600) }
    }

    private var begun: String { "\(path)/log.begun" }

    /// A log that was begun never gets other keys by itself.
    private func requireNoLog(beside file: String) throws(RecordFailure) {
        let names = try recording { try Files.list("\(path)/log") ?? [] }
        guard names.contains(where: { $0.hasSuffix(".jsonl") || $0.hasSuffix(".gz") }) else { return }
        throw RecordFailure("\(file) is gone, and \(path)/log was written with it: restore it, or move the log away")
    }

    private func readKey(_ file: String) throws(RecordFailure) -> SSHPrivateKey? {
        guard let text = try Self.readPrivate(file, limit: 16_384, owner: Machine.effectiveUserID) else { return nil }
        do {
            return try SSHPrivateKey(openSSH: text)
        } catch {
            throw RecordFailure("\(file) is not a key: \(error)")
        }
    }

    /// The secret that lines of the log are authenticated with: made at the first use.
    package func logSecret() throws(RecordFailure) -> LogSecret {
        let file = "\(path)/log.key"
        if let secret = try readSecret(file) { return secret }
        try requireNoLog(beside: file)
        let text = Array((Hex.encode(Randomness.bytes(32)) + "\n").utf8)
        _ = try recording { try Files.create(file, with: text, mode: 0o600) }
        guard let secret = try readSecret(file) else { throw RecordFailure("\(file) has gone") }
        return secret
    }

    private func readSecret(_ file: String) throws(RecordFailure) -> LogSecret? {
        guard let text = try Self.readPrivate(file, limit: 256, owner: Machine.effectiveUserID) else { return nil }
        return try LogSecret(text: text, file)
    }

    /// The secret of a state, if there is one: for whoever checks its log, and makes nothing there.
    ///
    /// - Throws: ``RecordFailure`` where it does not prove anything: others could read it.
    package static func logSecret(ofState path: String) throws(RecordFailure) -> LogSecret? {
        guard let owner = try recording({ try Files.status(path) })?.owner else { return nil }
        let file = "\(path)/log.key"
        return try readPrivate(file, limit: 256, owner: owner).map { (text) throws(RecordFailure) in
            try LogSecret(text: text, file)
        }
    }

    /// Files of the state that nobody else may read: whoever has them writes lines and heads like the gateway.
    package static let secretFiles = ["gateway.key", "log.key"]

    /// A file that one account alone may read and change; nil where there is none.
    private static func readPrivate(_ file: String, limit: Int, owner: UInt32) throws(RecordFailure) -> [UInt8]? {
        try recording {
            guard try Files.status(file) != nil else { return nil }
            // Never waits for a writer, even if somebody has put a pipe there.
            let opened = try FileDescriptor(file, O_RDONLY | O_NONBLOCK, operation: "read \(file)")
            let status = try opened.status(file)
            guard status.kind == .file else { throw RecordFailure("\(file) is not a file") }
            guard status.owner == owner else {
                throw RecordFailure(
                    "\(file) belongs to another account, which could write the log: it is the gateway's alone"
                )
            }
            guard status.permissions & 0o077 == 0 else {
                throw RecordFailure(
                    "others may read \(file), and whoever did could write the log: chmod 600 \(file), and where that may "
                        + "have happened, move \(Files.parent(of: file) ?? "the state") away, so that new keys are made"
                )
            }
            return try opened.read(limit: limit, from: file)
        }
    }
}

/// What authenticates the lines of a log, and what it has in place of values that are not for it.
package struct LogSecret: Sendable {
    private let lines: [UInt8]
    private let values: [UInt8]

    /// - Parameter bytes: 32 bytes of randomness. A key for each purpose follows from them.
    package init(_ bytes: [UInt8]) {
        lines = HMACSHA256.digest(of: Array("ensign-log lines".utf8), key: bytes)
        values = HMACSHA256.digest(of: Array("ensign-log values".utf8), key: bytes)
    }

    /// The secret that a file holds.
    ///
    /// - Throws: ``RecordFailure`` where there is none.
    package init(file: String) throws(RecordFailure) {
        guard let text = try recording({ try Files.read(file, limit: 256) }) else {
            throw RecordFailure("there is no file \(file)")
        }
        try self.init(text: text, file)
    }

    fileprivate init(text: [UInt8], _ file: String) throws(RecordFailure) {
        guard text.count == 65, text.last == 0x0A, let bytes = Hex.decode(Array(text.dropLast())) else {
            throw RecordFailure("\(file) is not a secret of a log: it has 64 hexadecimal digits and a line feed")
        }
        self.init(bytes)
    }

    package func mac(ofLine bytes: [UInt8]) -> String { Self.text(HMACSHA256.digest(of: bytes, key: lines)) }

    /// Stands for arguments: nobody without the secret can try which ones they were.
    package func mac(ofArguments arguments: JSONValue) -> String {
        mac(of: Array("arguments\n".utf8) + arguments.canonicalBytes())
    }

    /// What a request's nonce ends with, over the request with the nonce as far as before that.
    package func mac(ofRequest bytes: [UInt8]) -> String {
        Hex.encode(Array(HMACSHA256.digest(of: Array("request\n".utf8) + bytes, key: values).prefix(16)))
    }

    package func mac(ofKey key: String) -> String { mac(of: Array("key\n\(key)".utf8)) }

    private func mac(of bytes: [UInt8]) -> String { Self.text(HMACSHA256.digest(of: bytes, key: values)) }

    private static func text(_ bytes: [UInt8]) -> String { "hmac:" + Hex.encode(bytes) }
}

/// Runs file operations whose failure means that nothing was recorded.
func recording<Value: ~Copyable>(_ body: () throws -> Value) throws(RecordFailure) -> Value {
    do {
        return try body()
    } catch let failure as RecordFailure {
        throw failure
    } catch {
        throw RecordFailure("\(error)")
    }
}
