package import EnsignModel

/// Renders findings as text: `path:line:column: error: message [code]`, the line, a caret, a hint.
package struct FindingRenderer {
    private var paint: (String, Console.Style) -> String
    /// A file's bytes, to show the line; nil when there is none.
    private var source: (String) -> [UInt8]?

    package init(
        paint: @escaping (String, Console.Style) -> String,
        source: @escaping (String) -> [UInt8]?
    ) {
        self.paint = paint
        self.source = source
    }

    package func render(_ findings: [Finding]) -> String {
        var text = ""
        // No output shows a secret, whichever finding the line belongs to.
        var secrets: [String: [Int: Int]] = [:]
        for finding in findings where finding.code == "literal-secret" {
            let (line, column) = (Int(finding.position.line), Int(finding.position.column))
            secrets[finding.path, default: [:]][line] = min(column, secrets[finding.path]?[line] ?? column)
        }
        var hidden: (path: String, lines: SecretLines)?
        let alike = Alike(findings)
        var cached: (path: String, lines: [ArraySlice<UInt8>])?
        for (index, finding) in findings.enumerated() where alike.isShown(index) {
            if cached?.path != finding.path {
                let bytes = source(finding.path) ?? []
                cached = (finding.path, bytes.split(separator: 0x0A, omittingEmptySubsequences: false))
            }
            if hidden?.path != finding.path { hidden = (finding.path, SecretLines(cached?.lines ?? [])) }
            let line = Int(finding.position.line)
            let secret = [secrets[finding.path]?[line], hidden?.lines.hidden[line - 1].map { $0 + 1 }]
                .compactMap { $0 }.min()
            text += render(finding, cached?.lines ?? [], secretAt: secret)
            let others = alike.others(index)
            if !others.isEmpty {
                let named = others.prefix(Self.maxPlaces).map { place(findings[$0].path, findings[$0].position) }
                let more = others.count > named.count ? ", ..." : ""
                text += "  and \(counted(others.count, "place")) more: \(named.joined(separator: ", "))\(more)\n"
            }
        }
        return text
    }

    /// The most places of equal warnings that are named.
    private static let maxPlaces = 5

    /// Warnings that say the same of several places are shown once, where the first is. Errors are each shown: each has
    /// to be mended.
    private struct Alike {
        private struct Key: Hashable {
            var code: String
            var message: String
            var hint: String?
        }

        private var groups: [Int: [Int]] = [:]
        private var hidden: Set<Int> = []

        init(_ findings: [Finding]) {
            var first: [Key: Int] = [:]
            for (index, finding) in findings.enumerated() where finding.severity == .warning {
                let key = Key(code: finding.code, message: finding.message, hint: finding.hint)
                guard let earlier = first[key] else {
                    first[key] = index
                    continue
                }
                groups[earlier, default: []].append(index)
                hidden.insert(index)
            }
        }

        func isShown(_ index: Int) -> Bool { !hidden.contains(index) }

        func others(_ index: Int) -> [Int] { groups[index] ?? [] }
    }

    private func render(_ finding: Finding, _ lines: [ArraySlice<UInt8>], secretAt secret: Int?) -> String {
        let word = finding.severity == .error ? paint("error", .red) : paint("warning", .yellow)
        var text =
            "\(paint(place(finding.path, finding.position), .bold)): \(word): \(finding.message.onOneLine) [\(finding.code)]\n"
        let number = Int(finding.position.line)
        if number >= 1, number <= lines.count, !(number == 1 && finding.position.column == 1 && lines[0].isEmpty) {
            var line = String(decoding: lines[number - 1], as: UTF8.self)
            if let secret { line = String(String.UnicodeScalarView(line.unicodeScalars.prefix(secret - 1))) + "***" }
            // Last: it moves what comes behind.
            line = line.withoutUserInfo
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
