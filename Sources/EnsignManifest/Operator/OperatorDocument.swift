package import EnsignModel
import EnsignYAML

/// A file of an operator, read as strictly as a manifest: positions, all findings at once, near names suggested.
///
/// It never comes from a repository, so it has no place there and no ``ManifestKind``. Whoever needs one declares its
/// fields.
package struct OperatorDocument: Sendable {
    /// What the file is.
    package struct Kind: Sendable {
        package var name: String
        /// One sentence.
        package var summary: String
        package var spec: [Field]

        package init(name: String, summary: String, spec: [Field]) {
            self.name = name
            self.summary = summary
            self.spec = spec
        }

        /// The whole document.
        var fields: [Field] {
            [
                Field("apiVersion", "The file's format.", .text(.oneOf([ManifestKind.apiVersion])), required: true),
                Field("kind", "The kind of file.", .text(.oneOf([name])), required: true),
                Field("spec", "What is set.", .record(spec), required: true),
            ]
        }

        /// The JSON Schema (draft-07) for editors and for other checkers.
        package var editorSchema: JSONValue { ManifestKind.editorSchema(of: fields, kind: name, summary) }
    }

    /// What is set; nil where it could not be read. Values that were refused read as absent: the finding exists.
    package let spec: Record?
    private var collector: FindingCollector

    package var findings: [Finding] { Finding.unique(collector.findings) }
    package var hasErrors: Bool { collector.findings.contains { $0.severity == .error } }

    /// Reads and checks a file.
    ///
    /// - Parameter path: For messages.
    package init(_ bytes: [UInt8], path: String, kind: Kind) {
        var findings = FindingCollector(path: path)
        guard let tape = ManifestLoader.parse(bytes, &findings), let root = tape.root else {
            if findings.findings.isEmpty { findings.error("missing-field", "the file is empty", at: .start) }
            (spec, collector) = (nil, findings)
            return
        }
        guard tape.kind(of: root) == .mapping else {
            let mark = Position(tape.mark(of: root))
            findings.error("wrong-type", "the file must be a mapping with apiVersion, kind and spec", at: mark)
            (spec, collector) = (nil, findings)
            return
        }
        let secrets = SecretChecker(tape: tape, bytes: bytes)
        findings.hide(secrets.mask)
        var checker = ShapeChecker(tape: tape, findings: findings)
        checker.check(root, .record(kind.fields), "the file")
        findings = checker.findings
        findings.add(secrets.found, .error)
        spec = tape.isComplete ? Record(tape, root)?.record("spec") : nil
        collector = findings
    }

    /// Adds what only whoever knows the meaning can find.
    package mutating func add(
        _ severity: Finding.Severity,
        _ code: String,
        _ message: String,
        at position: Position,
        hint: String? = nil
    ) {
        collector.add(severity, code, message, at: position, hint: hint)
    }
    /// Adds an error.
    package mutating func add(_ code: String, _ message: String, at position: Position, hint: String? = nil) {
        add(.error, code, message, at: position, hint: hint)
    }
}
