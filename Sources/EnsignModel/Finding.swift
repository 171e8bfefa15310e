/// One thing that is wrong, or doubtful, in what a user wrote.
///
/// Text and JSON output are both rendered from this value. Findings are values, never thrown: checking goes on, so that
/// one run reports everything.
package struct Finding: Sendable, Hashable {
    /// How bad it is.
    package enum Severity: String, Sendable {
        /// Refused: nothing that depends on the file is applied.
        case error
        /// Said, and accepted.
        case warning
    }

    /// A second place that the message speaks of.
    package struct Note: Sendable, Hashable {
        package var path: String
        package var position: Position
        package var message: String

        package init(path: String, position: Position, message: String) {
            self.path = path
            self.position = position
            self.message = message
        }
    }

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
        self.message = message
        self.path = path
        self.position = position
        self.hint = hint
        self.notes = notes
    }
}

extension Finding: Comparable {
    /// Findings are shown by path, then position, then code.
    package static func < (left: Finding, right: Finding) -> Bool {
        (left.path, left.position, left.code, left.message) < (right.path, right.position, right.code, right.message)
    }
}
