import EnsignCommandLine
import EnsignCrypto
import EnsignGateway
import EnsignModel
import EnsignSystem

/// The files of a decision log that a verb reads: those of the operator's state, or those that are named.
struct LogFiles {
    /// Oldest first.
    var files: [String] = []
    /// Files with signed heads.
    var heads: [String] = []
    var secret: LogSecret?
    var key: SSHPublicKey?

    /// - Throws: ``UsageError`` where neither is named.
    init(_ invocation: Invocation) throws {
        if invocation.has("config") {
            let state = try OperatorFile(invocation).file.state.value
            try add(folder: "\(state)/log")
            secret = try StateFolder(state).existingLogSecret()
            key = try Self.key("\(state)/gateway.pub")
        }
        for name in invocation.arguments {
            guard let status = try Files.status(name) else { throw Failure(message: "there is no file \(name)") }
            if status.kind == .directory { try add(folder: name) } else { files.append(name) }
        }
        guard invocation.has("config") || !invocation.arguments.isEmpty else {
            throw UsageError(
                message: "'\(invocation.verb.name)' needs --config FILE, or the files of a log",
                verb: invocation.verb.name
            )
        }
        heads += invocation.all("heads")
        if let path = invocation["key"] { key = try Self.key(path) }
        if let path = invocation["secret"] { secret = try LogSecret(file: path) }
    }

    private mutating func add(folder: String) throws {
        files += try LogFolder(folder).names().map { "\(folder)/\($0)" }
        if try Files.status("\(folder)/heads.jsonl") != nil { heads.append("\(folder)/heads.jsonl") }
    }

    private static func key(_ path: String) throws -> SSHPublicKey? {
        guard let bytes = try Files.read(path, limit: 16_384) else {
            throw Failure(message: "there is no file \(path)")
        }
        do throws(SSHKeyError) { return try SSHPublicKey(line: String(decoding: bytes, as: UTF8.self)) } catch {
            throw Failure(message: "\(path) holds no public key of OpenSSH: \(error)")
        }
    }

    static let options = [
        Option(name: "config", summary: "Read the log of the operator's file", value: "FILE", kind: .file),
        Option(
            name: "secret",
            summary: "Name the log's secret, <state>/log.key, where files are named",
            value: "FILE",
            kind: .file
        ),
    ]
}
