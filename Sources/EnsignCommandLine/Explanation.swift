import EnsignModel

/// Something that could not be done.
package struct Failure: Error, Sendable, Hashable {
    package var message: String
    package var hints: [String]
    package var code: ExitCode

    package init(message: String, hints: [String] = [], code: ExitCode = .failed) {
        self.message = message
        self.hints = hints
        self.code = code
    }
}

/// What a person reads about an error, and the exit status.
package struct Explanation: Sendable, Hashable {
    package var message: String
    package var hints: [String]
    package var code: ExitCode

    package init(_ message: String, _ hints: [String], _ code: ExitCode) {
        self.message = message
        self.hints = hints
        self.code = code
    }

    /// Wrong use of a program's command line.
    package init(_ error: UsageError, of program: String) {
        self.init(
            error.message,
            [error.hint, "\(program) \(error.verb.map { "\($0) " } ?? "")--help"].compactMap { $0 },
            .usage
        )
    }

    package init(_ failure: Failure) { self.init(failure.message, failure.hints, failure.code) }

    package func print(to console: Console) {
        console.note("\(console.program): \(console.paintNote("error", .red)): \(message.onOneLine)")
        for hint in hints { console.note("  \(console.paintNote("hint", .cyan)): \(hint.onOneLine)") }
    }
}
