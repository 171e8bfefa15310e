/// What text from others may not contain where people read it.
///
/// Manifests, commits, telemetry, servers and the ledger of another clone are written by others. Whatever is printed
/// from them or put into a message goes through one of the forms below; "unsafe" means the same in all of them.
package enum DisplayText {
    /// Whether a scalar steers a terminal, ends a line, changes the order of what is around it, or shows nothing.
    ///
    /// Controls, format characters (bidirectional and zero-width ones, soft hyphens, tags), separators of lines and
    /// paragraphs, variation selectors and fillers, and code points without a known meaning: private use, unassigned.
    package static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value < 0x20 }
        return switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
        // U+3164 is a letter, U+FE0F a mark, and neither is visible.
        default: scalar.properties.isDefaultIgnorableCodePoint
        }
    }

    /// How an unsafe scalar is written instead: `\u{202e}`.
    static func escape(_ scalar: Unicode.Scalar) -> String { "\\u{\(String(scalar.value, radix: 16))}" }
}

extension String {
    /// The text on one line: unsafe scalars, line breaks and tabs included, become escapes.
    package var onOneLine: String { escaped(where: DisplayText.isUnsafe) }

    /// The beginning of the text on one line.
    ///
    /// - Parameter most: The most bytes of the result, as ``StringProtocol/cut(utf8:)`` counts them; 3 or more.
    package func onOneLine(utf8 most: Int) -> String { cut(utf8: most).onOneLine.cut(utf8: most) }

    /// The text with its lines and tabs, as a code block shows it: other unsafe scalars become escapes.
    package var onItsLines: String { escaped { DisplayText.isUnsafe($0) && $0 != "\n" && $0 != "\t" } }

    /// The text with a blank for each unsafe scalar, so that columns stay aligned.
    package var inItsColumns: String {
        String(String.UnicodeScalarView(unicodeScalars.map { DisplayText.isUnsafe($0) ? " " : $0 }))
    }

    /// A name that must be ASCII: anything else becomes an escape, so that look-alikes are visible.
    package var asPlainName: String { escaped { $0.value < 0x20 || $0.value >= 0x7F } }

    /// The beginning of a name in single quotes.
    ///
    /// - Parameter most: The most bytes between the quotes; 3 or more.
    package func quoted(utf8 most: Int) -> String { "'\(onOneLine(utf8: most))'" }

    /// The text on one line, with what Markdown would interpret escaped.
    package var inMarkdown: String {
        var result = ""
        // By scalars: '*' and the mark that follows it are one character.
        for scalar in onOneLine.unicodeScalars {
            if "\\`*_{}[]<>#|&".unicodeScalars.contains(scalar) { result.append("\\") }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    private func escaped(where isUnsafe: (Unicode.Scalar) -> Bool) -> String {
        guard unicodeScalars.contains(where: isUnsafe) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            if isUnsafe(scalar) {
                result += DisplayText.escape(scalar)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
