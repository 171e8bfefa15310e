import EnsignCommandLine
import EnsignGateway
import EnsignModel
import EnsignSystem

/// The operator's file as a verb needs it, with what was found wrong.
struct OperatorFile {
    var file: GatewayFile
    var bytes: [UInt8]
    /// Of the file alone: warnings.
    var findings: [Finding]

    /// Reads the file that `--config` names; `--live`, `--keys` and `--state` count in place of its own.
    ///
    /// - Throws: ``Failure`` after all that is wrong was shown.
    init(_ invocation: Invocation) throws {
        let path = try Self.path(invocation)
        guard let bytes = try Files.read(path, limit: GatewayFile.maxBytes) else {
            throw Failure(message: "there is no file \(path)", hints: ["docs/gateway-file.md says what belongs in it"])
        }
        let (file, findings) = GatewayFile.read(bytes, path: path, places: Self.places(invocation))
        guard let file else {
            Self.show(findings, bytes, path, invocation.console)
            throw Failure(
                message: "\(counted(findings.count(where: { $0.severity == .error }), "error")) in \(path)",
                code: .invalid
            )
        }
        self.file = file
        self.bytes = bytes
        self.findings = findings
    }

    /// What is wrong on this machine and nobody may serve with: others could change what decides here.
    ///
    /// - Parameter console: Where it is shown; nil where it was.
    func requireSafe(_ surroundings: Surroundings, _ console: Console?) throws {
        let errors = surroundings.findings(of: file).filter { $0.severity == .error && Self.unsafe.contains($0.code) }
        guard !errors.isEmpty else { return }
        if let console { show(errors, console) }
        throw Failure(message: "the gateway does not serve like this", code: .invalid)
    }

    /// Errors with which nobody may serve, by their codes.
    static let unsafe: Set<String> = ["unsafe-file", "bad-keys", "not-root", "no-account"]

    func show(_ findings: [Finding], _ console: Console) { Self.show(findings, bytes, file.path, console) }

    private static func show(_ findings: [Finding], _ bytes: [UInt8], _ path: String, _ console: Console) {
        let text = FindingRenderer(paint: console.paintNote) { $0 == path ? bytes : nil }.render(findings.sorted())
        if !text.isEmpty { console.note(String(text.dropLast())) }
    }

    /// Absolute like the file's own; what is not there yet lies where the program was started.
    private static func places(_ invocation: Invocation) -> GatewayFile.Places {
        var paths: [String: String] = [:]
        for name in GatewayFile.Places.names {
            guard let path = invocation[name] else { continue }
            let here = Files.canonical(".") ?? ""
            paths[name] = Files.canonical(path) ?? (path.hasPrefix("/") ? path : "\(here)/\(path)")
        }
        return GatewayFile.Places(paths)
    }

    /// Absolute, so that what is relative to nothing means the same wherever it is read.
    private static func path(_ invocation: Invocation) throws -> String {
        guard let name = invocation["config"] else {
            throw UsageError(message: "'\(invocation.verb.name)' needs --config FILE", verb: invocation.verb.name)
        }
        return Files.canonical(name) ?? name
    }
}

/// Tells the operator on standard error, the same at most once a minute.
final class Speaker: Sendable {
    private let console: Console
    private let said = SaidLately()

    init(_ console: Console) { self.console = console }

    func say(_ text: String) {
        guard said.isNew(text, .now) else { return }
        tell(text)
    }

    /// Says it, whatever was said before.
    func tell(_ text: String) {
        console.note("\(Timestamp(seconds: Machine.now)) \(text.onOneLine(utf8: 2_000))")
    }
}
