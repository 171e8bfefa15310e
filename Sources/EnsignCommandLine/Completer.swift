/// What may come next in a command line that is being written: what the completion scripts ask for, at each press of the key.
///
/// What cannot be read offers nothing, and says nothing.
package struct Completer: Sendable {
    /// One word, and what it means; empty for names.
    package struct Candidate: Sendable, Hashable {
        package var word: String
        package var meaning = ""
    }

    private let program: Program

    /// What was written up to the cursor, as far as it is understood.
    package private(set) var verb: Verb?
    package private(set) var values: [String: String] = [:]
    package private(set) var arguments: [String] = []
    /// The option whose value is being written.
    private var pending: Option?
    /// What is being written.
    package let current: String
    /// The words of another program, the last of which is being written; nil where they are this one's.
    package private(set) var passedOn: [String]?

    /// - Parameter words: After the program's name; the last one is being written, and may be empty.
    package init(_ program: Program, _ words: [String]) {
        self.program = program
        current = words.last ?? ""
        var rest = words.dropLast()[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-", word != "--" else {
                if word == "--" { continue }
                if verb == nil { verb = program.verb(named: word) } else { arguments.append(word) }
                if verb?.passesOn != nil {
                    passedOn = Array(rest) + [current]
                    return
                }
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard let option = option(parts[0]), option.value != nil else { continue }
            if parts.count == 2 {
                values[option.name] = parts[1]
            } else if let value = rest.popFirst() {
                values[option.name] = value
            } else {
                pending = option
            }
        }
    }

    /// Those that go on with what is written. Empty where nothing is known, or a file is wanted.
    package func candidates() -> [Candidate] {
        if let pending { return matching(names(pending.kind)) }
        if current.hasPrefix("--"), let sign = current.firstIndex(of: "=") {
            let prefix = String(current[...sign])
            guard let option = option(String(current[..<sign])) else { return [] }
            return matching(names(option.kind).map { Candidate(word: prefix + $0.word) })
        }
        if current.hasPrefix("-") {
            // What would be refused is not offered.
            let options = options.filter { option in
                arguments.first.map { option.use.with?.contains($0) ?? true } ?? true
            }
            return matching(options.map { Candidate(word: "--\($0.name)", meaning: $0.summaryWithUse) })
        }
        guard let verb else {
            return matching(program.verbs.map { Candidate(word: $0.name, meaning: $0.summary) })
        }
        guard arguments.count < verb.arguments.count else { return [] }
        return matching(names(verb.arguments[arguments.count].kind))
    }

    private var options: [Option] { (verb.map { $0.options + Parser.outputOption($0) } ?? []) + program.common }

    /// Before the verb is written: those of any.
    private var laterOptions: [Option] {
        guard verb == nil else { return [] }
        let formats = Format.allCases.filter { format in program.verbs.contains { $0.formats.contains(format) } }
        return [Option.output(formats)] + program.verbs.flatMap(\.options)
    }

    private func option(_ word: String) -> Option? {
        (options + laterOptions).first { "--\($0.name)" == word || $0.short.map { "-\($0)" } == word }
    }

    private func matching(_ found: [Candidate]) -> [Candidate] { found.filter { $0.word.hasPrefix(current) } }

    private func names(_ kind: ValueKind) -> [Candidate] {
        let words: [String] =
            switch kind {
            case .text, .file, .setting: []
            case .choice(let choices): choices
            default: program.names(kind, self)
            }
        return Set(words).sorted().map { Candidate(word: $0) }
    }

    // MARK: For a shell

    /// A line for each candidate. For zsh with the meaning behind a colon, as `_describe` reads it.
    package func lines(_ shell: String) -> String {
        candidates().map { candidate in
            guard shell == "zsh" else { return "\(candidate.word)\n" }
            let word = candidate.word.replacing(":", with: "\\:")
            return candidate.meaning.isEmpty ? "\(word)\n" : "\(word):\(candidate.meaning)\n"
        }.joined()
    }
}
