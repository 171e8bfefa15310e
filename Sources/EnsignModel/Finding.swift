/// One thing that is wrong, or doubtful, in what a user wrote.
///
/// Text and JSON output are both rendered from this value. Findings are values, never thrown: checking continues, so
/// one run reports everything.
package struct Finding: Sendable, Hashable {
    /// How bad it is.
    package enum Severity: String, Sendable {
        /// Refused: nothing that depends on the file is applied.
        case error
        /// Reported, and accepted.
        case warning
    }

    /// A second place that the message mentions.
    package struct Note: Sendable, Hashable {
        package var path: String
        package var position: Position
        package var message: String

        package init(path: String, position: Position, message: String) {
            self.path = path
            self.position = position
            self.message = message.cut(utf8: Finding.maxText)
        }
    }

    /// The most bytes of a message, a hint or a note (``StringProtocol/cut(utf8:)``): the text in a file may be of any
    /// size.
    package static let maxText = 2_000

    package var severity: Severity
    /// Stable, kebab-case, listed in docs/diagnostics.md.
    package var code: String
    package var message: String
    /// Relative to the repository's root.
    package var path: String
    package var position: Position
    /// What to do about it.
    package var hint: String?
    package var notes: [Note]

    package init(
        _ severity: Severity = .error,
        code: String,
        _ message: String,
        path: String,
        at position: Position = .start,
        hint: String? = nil,
        notes: [Note] = []
    ) {
        self.severity = severity
        self.code = code
        self.message = message.cut(utf8: Self.maxText)
        self.path = path
        self.position = position
        self.hint = hint?.cut(utf8: Self.maxText)
        self.notes = notes
    }
}

extension Finding: Comparable {
    /// Findings are shown by path, then position, then code.
    package static func < (left: Finding, right: Finding) -> Bool {
        (left.path, left.position, left.code, left.message) < (right.path, right.position, right.code, right.message)
    }
}

extension Finding {
    /// Each finding once, sorted: threads that share a role or a tool each find what is wrong with it.
    package static func unique(_ findings: [Finding]) -> [Finding] {
        var seen: Set<Finding> = []
        return findings.filter { seen.insert($0).inserted }.sorted()
    }
}

extension Finding {
    /// The answer of a question that manifests leave without one, because they are not valid.
    package static func invalid(_ findings: [Finding]) -> JSONValue {
        ["v": 1, "valid": false, "findings": .array(findings.map(\.json))]
    }

    package var json: JSONValue {
        [
            "severity": .string(severity.rawValue), "code": .string(code),
            "message": .string(message), "path": .string(path),
            "line": .integer(Int64(position.line)), "column": .integer(Int64(position.column)),
            "hint": hint.map { .string($0) } ?? .null,
            "notes": .array(
                notes.map {
                    [
                        "path": .string($0.path), "line": .integer(Int64($0.position.line)),
                        "column": .integer(Int64($0.position.column)), "message": .string($0.message),
                    ]
                }
            ),
        ]
    }
}
