/// Where libyaml stopped, and why, turned into what a person has to fix.
///
/// libyaml names the place where it could not go on. The mistake is usually earlier: a quote, a bracket, a line without
/// its colon.
struct SyntaxError {
    /// A scalar that libyaml had just read.
    struct Scalar {
        /// On the tape.
        var node: Int
        var start: YAMLMark
        var end: YAMLMark
        var isQuoted: Bool
    }

    /// libyaml's words.
    var problem: String
    /// What it was doing.
    var context: String?
    var mark: YAMLMark
    /// Where that began.
    var start: YAMLMark?
    var lastScalar: Scalar?

    func explained(in bytes: ArraySlice<UInt8>) -> YAMLProblem {
        if let start {
            if context == "while scanning a quoted scalar", problem.hasPrefix("found unexpected") {
                return make("the quote that opens here is never closed", "close it on the same line", start)
            }
            if context == "while scanning an alias" {
                return make("a '*' is an alias here, and there is no name behind it", "quote it: \"*\"", start)
            }
            if problem == "could not find expected ':'" {
                return make("this line has no ':' behind a name", "write 'name: value'", start)
            }
        }
        if let scalar = lastScalar, scalar.isQuoted, scalar.start.line < scalar.end.line, scalar.end.line == mark.line {
            return make(
                "the quote that opens here is closed only by one on line \(mark.line)",
                "close it on the same line",
                scalar.start
            )
        }
        if let start, let bracket = missingBracket, start.line < mark.line {
            var explained = make(
                "the '\(bracket.opening)' that opens here is not closed",
                "write ',' between its elements and '\(bracket.closing)' behind the last one",
                start
            )
            explained.related = YAMLProblem.Related(mark: mark, message: "one of the two is missing before this")
            return explained
        }
        if problem == "did not find expected key", let start, Self.indentation(of: mark, in: bytes) == mark.column {
            return make(
                "this line is indented differently from the others of its mapping",
                "the mapping begins on line \(start.line), in column \(start.column)",
                mark
            )
        }
        if problem.contains("mapping values are not allowed") {
            // A scalar continues over lines that are indented further, until one has a colon.
            let column = Self.indentation(of: mark, in: bytes)
            if let scalar = lastScalar, scalar.start.line < mark.line, scalar.end.line == mark.line, let column {
                return make(
                    "this line is indented further than the one that it follows",
                    "begin it in the column of the name on line \(scalar.start.line)",
                    YAMLMark(line: mark.line, column: column)
                )
            }
            return make(problem, "quote a text that contains ': '", mark)
        }
        let message = context.map { "\(problem), \($0)" } ?? problem
        let hint =
            problem.contains("cannot start any token")
            ? "quote a text that starts with a special character; indent with spaces, not tabs" : nil
        return make(message, hint, mark)
    }

    private func make(_ message: String, _ hint: String?, _ mark: YAMLMark) -> YAMLProblem {
        YAMLProblem(code: "yaml-syntax", message: message, hint: hint, mark: mark)
    }

    private var missingBracket: (opening: String, closing: String)? {
        switch problem {
        case "did not find expected ',' or ']'": ("[", "]")
        case "did not find expected ',' or '}'": ("{", "}")
        default: nil
        }
    }

    /// The column of the first non-space character on a mark's line; nil when there is none.
    private static func indentation(of mark: YAMLMark, in bytes: ArraySlice<UInt8>) -> UInt32? {
        let lines = bytes.split(separator: 0x0A, maxSplits: Int(mark.line), omittingEmptySubsequences: false)
        guard Int(mark.line) <= lines.count else { return nil }
        let line = lines[Int(mark.line) - 1]
        return line.firstIndex { $0 != 0x20 }.map { UInt32($0 - line.startIndex) + 1 }
    }
}
