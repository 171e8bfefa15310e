/// Renders help from the verbs' declarations.
package struct Help: Sendable {
    private static let width = 80

    private let program: Program

    package init(_ program: Program) { self.program = program }

    package func overview() -> String {
        var text = """
            OVERVIEW: \(program.summary)

            \(program.discussion)

            USAGE: \(program.name) COMMAND [ARGUMENTS] [OPTIONS]

            """
        for group in program.groups {
            let verbs = program.verbs.filter { $0.group == group }
            guard !verbs.isEmpty else { continue }
            text += "\n\(group.title.uppercased()):\n"
            text += Self.table(verbs.map { ($0.name, $0.summary) })
        }
        text += "\nOPTIONS OF EVERY COMMAND:\n"
        text += Self.table(program.common.map { (Self.fullLabel($0), $0.summary) })
        text += """

            '\(program.name) COMMAND --help' explains one command, with examples.

            """
        return text
    }

    package func verb(_ verb: Verb) -> String {
        var text = "OVERVIEW: \(verb.summary)\n"
        if !verb.discussion.isEmpty { text += "\n" + Self.wrap(verb.discussion) }
        text += "\nUSAGE: \(usage(verb))\n"
        if !verb.arguments.isEmpty {
            text += "\nARGUMENTS:\n" + Self.table(verb.arguments.map { ($0.name, $0.summary) })
        }
        let options = verb.options + Parser.outputOption(verb) + program.common
        text += "\nOPTIONS:\n" + Self.table(options.map { (Self.fullLabel($0), $0.summaryWithUse) })
        if !verb.examples.isEmpty {
            text += "\nEXAMPLES:\n"
            for example in verb.examples { text += "  \(example.command)\n      \(example.meaning)\n" }
        }
        return text
    }

    package func usage(_ verb: Verb) -> String {
        var parts = [program.name, verb.name]
        parts += verb.arguments.map { $0.isRequired ? $0.name : "[\($0.name)]" }
        for option in verb.options {
            let shown = Self.label(option)
            parts.append(option.isRequired ? shown : option.isRepeatable ? "[\(shown) ...]" : "[\(shown)]")
        }
        return parts.joined(separator: " ")
    }

    private static func label(_ option: Option) -> String {
        option.value.map { "--\(option.name) \($0)" } ?? "--\(option.name)"
    }

    /// With the short form behind it.
    private static func fullLabel(_ option: Option) -> String {
        Self.label(option) + (option.short.map { ", -\($0)" } ?? "")
    }

    private static func table(_ rows: [(String, String)]) -> String {
        let column = min(28, (rows.map(\.0.count).max() ?? 0) + 4)
        var text = ""
        for (name, summary) in rows {
            let lines = Self.fold(summary, width - column)
            if name.count + 4 > column {
                text += "  \(name)\n"
                for line in lines { text += String(repeating: " ", count: column) + line + "\n" }
            } else {
                text +=
                    "  \(name)" + String(repeating: " ", count: column - 2 - name.count) + (lines.first ?? "") + "\n"
                for line in lines.dropFirst() { text += String(repeating: " ", count: column) + line + "\n" }
            }
        }
        return text
    }

    private static func wrap(_ text: String) -> String {
        text.split(separator: "\n\n", omittingEmptySubsequences: true)
            .map { Self.fold(String($0).replacing("\n", with: " "), width).joined(separator: "\n") + "\n" }
            .joined(separator: "\n")
    }

    private static func fold(_ text: String, _ width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += line.isEmpty ? String(word) : " \(word)"
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }
}
