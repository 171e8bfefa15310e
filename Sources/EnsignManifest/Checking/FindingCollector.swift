import EnsignModel
import EnsignYAML

/// Collects the findings of one file.
struct FindingCollector {
    let path: String
    private(set) var findings: [Finding] = []
    private var share = FindingShare()
    private var mask = SecretMask()

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
            // Before it is cut to its length: the beginning of a secret would not be known.
            let message = mask.isEmpty ? message : mask.hide(message.cut(utf8: 2 * Finding.maxText))
            let finding = Finding(severity, code: code, message, path: path, at: position, hint: hint(), notes: notes)
            findings.append(mask.hide(finding))
        case .thatThereAreMore: findings.append(FindingShare.more(severity, path, position))
        case .nothing: break
        }
    }

    /// Takes the secrets of the file out of what was found, and out of what will be.
    mutating func hide(_ secrets: SecretMask) {
        mask = secrets
        findings = findings.map(mask.hide)
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
