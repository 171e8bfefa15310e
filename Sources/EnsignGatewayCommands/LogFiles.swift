import EnsignCommandLine
import EnsignCrypto
import EnsignGateway
import EnsignModel
import EnsignSystem

/// The files of a decision log that a verb reads: those that are named, else those of the operator's state.
struct LogFiles {
    /// The folder of the whole log of the operator's state; nil where files are named.
    var folder: LogFolder?
    /// Oldest first.
    var files: [String] = []
    /// Whether a folder of a log is among them: then nothing of it may be missing.
    private(set) var hasFolder = false
    /// Files with signed heads.
    var heads: [String] = []
    var secret: LogSecret?
    var key: SSHPublicKey?

    /// - Throws: ``UsageError`` where neither is named.
    init(_ invocation: Invocation) throws {
        if invocation.has("config") {
            let state = try OperatorFile(invocation).file.state.value
            secret = try StateFolder.logSecret(ofState: state)
            if invocation.arguments.isEmpty {
                folder = LogFolder("\(state)/log")
                try add(folder: "\(state)/log")
            }
            // Before the first line there is neither; later nothing is checked with less than both.
            if secret != nil || !files.isEmpty || !invocation.arguments.isEmpty {
                guard secret != nil else {
                    throw Failure(message: "there is no file \(state)/log.key: no line can be checked")
                }
                key = try Self.key("\(state)/gateway.pub")
            }
        }
        for name in invocation.arguments {
            guard let path = Files.canonical(name), let status = try Files.status(path) else {
                throw Failure(message: "there is no file \(name)")
            }
            switch status.kind {
            case .directory: try add(folder: name)
            case .file: files.append(name)
            default: throw Failure(message: "\(name) is not a regular file: a log is read from files that end")
            }
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

    /// The secret of the state whose log all of these are of: `<state>/log.key` for `<state>/log` and what is in it. Nil where
    /// it is not there, or they are of several states.
    static func secretBeside(_ names: [String]) throws -> LogSecret? {
        let states = try names.map { name -> String? in
            guard let path = Files.canonical(name), let status = try Files.status(path) else { return nil }
            return (status.kind == .directory ? path : Files.parent(of: path)).flatMap(Files.parent(of:))
        }
        guard let state = states.first ?? nil, states.allSatisfy({ $0 == state }) else { return nil }
        let path = "\(state)/log.key"
        return try Files.status(path) == nil ? nil : LogSecret(file: path)
    }

    private mutating func add(folder: String) throws {
        hasFolder = true
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
            summary: "Name the log's secret, <state>/log.key, where files are named elsewhere",
            value: "FILE",
            kind: .file
        ),
    ]
}
