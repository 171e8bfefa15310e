package import EnsignModel
import EnsignYAML

/// A manifest as far as it could be read, and what was found in it.
package struct Loaded<Value: Sendable>: Sendable {
    package var path: String
    /// Nil when nothing useful could be read. May be set although the file has errors: other checks continue with it.
    package var value: Value?
    package var findings: [Finding]
    /// The secrets in it, which nothing that is said of it shows.
    var secrets = SecretMask()

    package var isValid: Bool { value != nil && !findings.contains { $0.severity == .error } }
}

/// Reads one manifest from its bytes.
package enum ManifestLoader {
    /// Reads, checks and decodes one file.
    ///
    /// - Parameters:
    ///   - name: What `metadata.name` must say if it is there.
    ///   - version: What `metadata.version` must say if it is there.
    package static func load<Value: ManifestValue>(
        _ type: Value.Type,
        _ bytes: [UInt8],
        path: String,
        name: String? = nil,
        version: String? = nil
    ) -> Loaded<Value> {
        var findings = FindingCollector(path: path)
        guard let tape = parse(bytes, &findings) else {
            return Loaded(path: path, value: nil, findings: findings.findings)
        }
        let secrets = SecretChecker(tape: tape, bytes: bytes)
        findings.hide(secrets.mask)
        let value = read(type, tape, &findings, name: name, version: version)
        let severity: Finding.Severity = version.map { SemanticVersion($0) != nil } == true ? .warning : .error
        findings.add(secrets.found, severity)
        return Loaded(path: path, value: value, findings: findings.findings, secrets: secrets.mask)
    }

    private static func read<Value: ManifestValue>(
        _ type: Value.Type,
        _ tape: YAMLTape,
        _ findings: inout FindingCollector,
        name: String?,
        version: String?
    ) -> Value? {
        guard let root = tape.root else { return nil }
        let kind = Value.kind
        guard tape.kind(of: root) == .mapping else {
            findings.error(
                "wrong-type",
                "a manifest must be a mapping with apiVersion, kind and spec",
                at: Position(tape.mark(of: root))
            )
            return nil
        }
        let document = Record(tape, root)
        if let found = document?.located("kind"), found.value != kind.rawValue,
            ManifestKind(rawValue: found.value) != nil
        {
            findings.error(
                "wrong-kind",
                "kind is \(found.value), and \(findings.path) is where a \(kind.rawValue) belongs",
                at: found.position,
                hint: "write kind: \(kind.rawValue), or move the file"
            )
            return nil
        }
        var checker = ShapeChecker(tape: tape, findings: findings)
        checker.check(root, .record(kind.fields), "the manifest")
        findings = checker.findings
        let metadata = document?.record("metadata")
        checkIdentity(metadata?.located("name"), "metadata.name", name, &findings)
        checkIdentity(metadata?.located("version"), "metadata.version", version, &findings)
        var labels: [String: String] = [:]
        for (key, node) in metadata?.pairs("labels") ?? [] { labels[key] = metadata?.text(node) }
        // A syntax error may have cut off what others name. A deployment's own references can still be checked.
        guard tape.isComplete || kind == .deployment else { return nil }
        return document?.record("spec").flatMap { Value.decode(spec: ManifestSpec(record: $0), labels: labels) }
    }

    /// Reads an analysis from a file of its own: the mapping that a rollout has under `analysis:`.
    package static func loadAnalysis(_ bytes: [UInt8], path: String) -> Loaded<Analysis> {
        var findings = FindingCollector(path: path)
        guard let tape = parse(bytes, &findings), let root = tape.root else {
            return Loaded(path: path, value: nil, findings: findings.findings)
        }
        var checker = ShapeChecker(tape: tape, findings: findings, takesAnyMetric: true)
        checker.check(root, .record(ManifestKind.analysis), "the analysis")
        findings = checker.findings
        guard let record = Record(tape, root) else {
            return Loaded(path: path, value: nil, findings: findings.findings)
        }
        return Loaded(path: path, value: Analysis.decode(record), findings: findings.findings)
    }

    /// The position of a JSON Pointer's target, found again by a second parse.
    ///
    /// - Parameter start: The position of the value where the pointer starts; nil for the whole document.
    package static func position(of pointer: [String], below start: Position?, in bytes: [UInt8]) -> Position {
        position(of: pointer, below: start, in: tape(of: bytes))
    }

    /// Where each of some values is in a text of YAML or JSON, which is read once; nil for one that is not found.
    package static func positions(of pointers: [[String]], in bytes: [UInt8]) -> [Position?] {
        let first = bytes.first { $0 > 0x20 && $0 < 0x80 }
        let isJSON = first == UInt8(ascii: "{") || first == UInt8(ascii: "[")
        // JSON may be indented by tabs, and YAML must not.
        let tape = tape(of: isJSON ? bytes.map { $0 == 0x09 ? 0x20 : $0 } : bytes)
        return pointers.map { pointer in
            // What YAML's reader does not take ends the tape: an escaped surrogate of JSON is such.
            guard let root = tape.root, tape.has(pointer, below: root) else { return nil }
            let position = position(of: pointer, below: nil, in: tape)
            return position == .start ? nil : position
        }
    }

    static func tape(of bytes: [UInt8]) -> YAMLTape { YAMLParser.parse(TextScan.scan(bytes, manifest: true).text).tape }

    static func position(of pointer: [String], below start: Position?, in tape: YAMLTape) -> Position {
        guard let root = tape.root else { return start ?? .start }
        guard let start else { return Position(tape.mark(of: tape.node(at: pointer, below: root))) }
        for node in root..<tape.end(of: root) where Position(tape.mark(of: node)) == start {
            // A mapping starts where its first key does: the container comes first on the tape.
            return Position(tape.mark(of: tape.node(at: pointer, below: node)))
        }
        return start
    }

    static let lfsHint = "exclude fleet/ and environments/ from LFS in .gitattributes and commit the file itself"

    /// Whether a file is what Git LFS leaves in git in place of the file itself.
    static func isLFSPointer(_ bytes: [UInt8]) -> Bool {
        bytes.starts(with: "version https://git-lfs.github.com/spec/".utf8)
    }

    static func parse(_ bytes: [UInt8], _ findings: inout FindingCollector) -> YAMLTape? {
        guard bytes.count <= TextScan.limit else {
            findings.error("too-large", "the file has \(bytes.count) bytes, more than 1 MiB", at: .start)
            return nil
        }
        if isLFSPointer(bytes) {
            findings.error(
                "lfs-pointer",
                "this is a Git LFS pointer, not the manifest",
                at: .start,
                hint: lfsHint
            )
            return nil
        }
        let scan = TextScan.scan(bytes, manifest: true)
        for problem in scan.problems { findings.add(problem, severity: .error) }
        for warning in scan.warnings { findings.add(warning, severity: .warning) }
        guard scan.isText else { return nil }
        let (tape, problems) = YAMLParser.parse(scan.text)
        // libyaml stops at a tab that the scan has already reported.
        let alreadySaid = Set(scan.problems.map(\.mark.line))
        for problem in problems where !(problem.code == "yaml-syntax" && alreadySaid.contains(problem.mark.line)) {
            findings.add(problem, severity: .error)
        }
        return tape
    }

    private static func checkIdentity(
        _ written: Located<String>?,
        _ field: String,
        _ expected: String?,
        _ findings: inout FindingCollector
    ) {
        guard let written else { return }
        guard let expected else {
            findings.error("wrong-identity", "\(field) has no place here: the path names nothing", at: written.position)
            return
        }
        if written.value != expected {
            findings.error(
                "wrong-identity",
                "\(field) is '\(written.value)', and the path says '\(expected)'",
                at: written.position,
                hint: "write \(expected), or remove the field"
            )
        }
    }
}

extension FindingCollector {
    /// In a released version it is a warning: the branch may have it already, and then no push can mend it. Whoever
    /// checks what is new refuses it; see ``Finding/isSecretInRelease``.
    mutating func add(_ secrets: [SecretChecker.Found], _ severity: Finding.Severity) {
        for secret in secrets {
            // What has a form of its own has been refused already.
            let isSaid = findings.contains { $0.code == Finding.secret && $0.position == secret.position }
            guard !isSaid else { continue }
            add(
                severity,
                Finding.secret,
                "\(secret.message): a literal secret is never accepted",
                at: secret.position,
                hint: SecretChecker.hint
            )
        }
    }
}
