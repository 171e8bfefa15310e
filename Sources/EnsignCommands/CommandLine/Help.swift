/// Renders help from the verbs' declarations.
enum Help {
    private static let width = 80

    static func overview() -> String {
        var text = """
            OVERVIEW: GitOps for fleets of AI agents

            Ensign keeps a fleet of AI agents exactly as a git repository says, and signs
            a record of every change.

            USAGE: ensign COMMAND [ARGUMENTS] [OPTIONS]

            """
        for group in Verb.Group.allCases {
            let verbs = Verbs.all.filter { $0.group == group }
            guard !verbs.isEmpty else { continue }
            text += "\n\(group.rawValue.uppercased()):\n"
            text += table(verbs.map { ($0.name, $0.summary) })
        }
        text += "\nOPTIONS OF EVERY COMMAND:\n"
        text += table(Option.common.map { (fullLabel($0), $0.summary) })
        text += """

            'ensign COMMAND --help' explains one command, with examples.

            """
        return text
    }

    static func verb(_ verb: Verb) -> String {
        var text = "OVERVIEW: \(verb.summary)\n"
        if !verb.discussion.isEmpty { text += "\n" + wrap(verb.discussion) }
        text += "\nUSAGE: \(usage(verb))\n"
        if !verb.arguments.isEmpty {
            text += "\nARGUMENTS:\n" + table(verb.arguments.map { ($0.name, $0.summary) })
        }
        let options = verb.options + Parser.outputOption(verb) + Option.common
        text += "\nOPTIONS:\n" + table(options.map { (fullLabel($0), $0.summary) })
        if !verb.examples.isEmpty {
            text += "\nEXAMPLES:\n"
            for example in verb.examples { text += "  \(example.command)\n      \(example.meaning)\n" }
        }
        return text
    }

    static func usage(_ verb: Verb) -> String {
        var parts = ["ensign", verb.name]
        parts += verb.arguments.map { $0.isRequired ? $0.name : "[\($0.name)]" }
        for option in verb.options {
            let shown = label(option)
            parts.append(option.isRequired ? shown : option.isRepeatable ? "[\(shown) ...]" : "[\(shown)]")
        }
        return parts.joined(separator: " ")
    }

    private static func label(_ option: Option) -> String {
        option.value.map { "--\(option.name) \($0)" } ?? "--\(option.name)"
    }

    /// With the short form behind it.
    private static func fullLabel(_ option: Option) -> String {
        label(option) + (option.short.map { ", -\($0)" } ?? "")
    }

    private static func table(_ rows: [(String, String)]) -> String {
        let column = min(28, (rows.map(\.0.count).max() ?? 0) + 4)
        var text = ""
        for (name, summary) in rows {
            let lines = fold(summary, width - column)
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
            .map { fold(String($0).replacing("\n", with: " "), width).joined(separator: "\n") + "\n" }
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
