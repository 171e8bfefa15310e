import EnsignModel
import EnsignYAML

/// Collects the findings of one file.
struct FindingCollector {
    let path: String
    private(set) var findings: [Finding] = []
    private var share = FindingShare()

    init(path: String) {
        self.path = path
    }

    mutating func error(_ code: String, _ message: String, at mark: Position, hint: @autoclosure () -> String? = nil) {
        add(.error, code, message, at: mark, hint: hint())
    }

    /// Adds a finding unless the file has used up its share. Only then is the hint computed: finding the likely name
    /// among many takes longer than anything else here.
    mutating func add(
        _ severity: Finding.Severity,
        _ code: String,
        _ message: String,
        at position: Position,
        hint: @autoclosure () -> String? = nil,
        notes: [Finding.Note] = []
    ) {
        switch share.take(severity) {
        case .all:
            findings.append(
                Finding(severity, code: code, message, path: path, at: position, hint: hint(), notes: notes)
            )
        case .thatThereAreMore: findings.append(FindingShare.more(severity, path, position))
        case .nothing: break
        }
    }

    /// Takes a text out of what was found at its place: what has no form that is allowed there may still be a secret.
    mutating func hide(_ text: String, at position: Position) {
        for index in findings.indices where findings[index].position == position {
            findings[index].message = findings[index].message.withoutUserInfo.replacing(text, with: "***")
        }
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
