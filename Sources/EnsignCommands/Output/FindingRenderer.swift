import EnsignModel

/// Renders findings as text: `path:line:column: error: message [code]`, the line, a caret, a hint.
struct FindingRenderer {
    var paint: (String, Console.Style) -> String
    /// A file's bytes, to show the line; nil when there is none.
    var source: (String) -> [UInt8]?

    func render(_ findings: [Finding]) -> String {
        var text = ""
        // No output shows a secret, whichever finding the line belongs to.
        var secrets: [String: [Int: Int]] = [:]
        for finding in findings where finding.code == "literal-secret" {
            let (line, column) = (Int(finding.position.line), Int(finding.position.column))
            secrets[finding.path, default: [:]][line] = min(column, secrets[finding.path]?[line] ?? column)
        }
        var hidden: (path: String, lines: SecretLines)?
        var cached: (path: String, lines: [ArraySlice<UInt8>])?
        for finding in findings {
            if cached?.path != finding.path {
                let bytes = source(finding.path) ?? []
                cached = (finding.path, bytes.split(separator: 0x0A, omittingEmptySubsequences: false))
            }
            if hidden?.path != finding.path { hidden = (finding.path, SecretLines(cached?.lines ?? [])) }
            let line = Int(finding.position.line)
            let secret = [secrets[finding.path]?[line], hidden?.lines.hidden[line - 1].map { $0 + 1 }]
                .compactMap { $0 }.min()
            text += render(finding, cached?.lines ?? [], secretAt: secret)
        }
        return text
    }

    private func render(_ finding: Finding, _ lines: [ArraySlice<UInt8>], secretAt secret: Int?) -> String {
        let word = finding.severity == .error ? paint("error", .red) : paint("warning", .yellow)
        var text =
            "\(paint(place(finding.path, finding.position), .bold)): \(word): \(finding.message.onOneLine) [\(finding.code)]\n"
        let number = Int(finding.position.line)
        if number >= 1, number <= lines.count, !(number == 1 && finding.position.column == 1 && lines[0].isEmpty) {
            var line = String(decoding: lines[number - 1], as: UTF8.self)
            if let secret { line = String(String.UnicodeScalarView(line.unicodeScalars.prefix(secret - 1))) + "***" }
            let shown = window(line, Int(finding.position.column))
            if !shown.text.isEmpty {
                text += "  \(shown.text)\n  \(String(repeating: " ", count: shown.caret))\(paint("^", .green))\n"
            }
        }
        if let hint = finding.hint { text += "  \(paint("hint", .cyan)): \(hint.onOneLine)\n" }
        for note in finding.notes {
            text += "  \(place(note.path, note.position)): note: \(note.message.onOneLine)\n"
        }
        return text
    }

    private func place(_ path: String, _ position: Position) -> String {
        "\(path.onOneLine):\(position.line):\(position.column)"
    }

    /// At most 100 characters around the column.
    private func window(_ line: String, _ column: Int) -> (text: String, caret: Int) {
        let scalars = Array(line.unicodeScalars)
        let start = column > 80 ? column - 60 : 0
        let part = scalars.dropFirst(start).prefix(100)
        var trimmed = String(String.UnicodeScalarView(part)).inItsColumns
        while trimmed.last?.isWhitespace == true { trimmed.removeLast() }
        return (trimmed, max(0, min(column - 1 - start, 100)))
    }
}
