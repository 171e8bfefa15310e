import EnsignCommandLine

/// The words of a command as a person writes it: blanks part them, quotes keep them together. Nothing is expanded and no
/// shell is asked.
enum CommandWords {
    static func split(_ text: String) throws(UsageError) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var rest = text[...]
        while let character = rest.popFirst() {
            if let open = quote {
                if character == open {
                    quote = nil
                } else if character == "\\", open == "\"", let next = rest.first, "\"\\".contains(next) {
                    word = (word ?? "") + String(rest.removeFirst())
                } else {
                    word = (word ?? "") + String(character)
                }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == "\\", let next = rest.popFirst() {
                word = (word ?? "") + String(next)
            } else if character == " " || character == "\t" || character == "\n" {
                if let whole = word { words.append(whole) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil else { throw UsageError(message: "a quote in --command is not closed", verb: "import") }
        if let whole = word { words.append(whole) }
        guard !words.isEmpty else { throw UsageError(message: "--command is empty", verb: "import") }
        return words
    }
}
