import EnsignModel
import EnsignYAML

/// Collects the findings of one file.
struct FindingCollector {
    let path: String
    private(set) var findings: [Finding] = []

    init(path: String) {
        self.path = path
    }

    var hasErrors: Bool { findings.contains { $0.severity == .error } }

    mutating func error(_ code: String, _ message: String, at mark: Position, hint: String? = nil) {
        add(.error, code, message, at: mark, hint: hint)
    }

    mutating func warning(_ code: String, _ message: String, at mark: Position, hint: String? = nil) {
        add(.warning, code, message, at: mark, hint: hint)
    }

    mutating func add(
        _ severity: Finding.Severity,
        _ code: String,
        _ message: String,
        at position: Position,
        hint: String? = nil,
        notes: [Finding.Note] = []
    ) {
        findings.append(
            Finding(severity, code: code, message, path: path, at: position, hint: hint, notes: notes)
        )
    }

    mutating func add(_ problem: YAMLProblem, severity: Finding.Severity) {
        let notes = problem.related.map {
            [Finding.Note(path: path, position: Position($0.mark), message: $0.message)]
        }
        add(
            severity,
            problem.code,
            problem.message,
            at: Position(problem.mark),
            hint: problem.hint,
            notes: notes ?? []
        )
    }
}

extension Position {
    init(_ mark: YAMLMark) {
        self.init(line: mark.line, column: mark.column)
    }
}
