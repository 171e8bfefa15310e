import EnsignJSON

/// Wrong use of the command line.
package struct UsageError: Error, Sendable, Hashable {
    package var message: String
    package var hint: String?
    /// The verb whose help explains it.
    package var verb: String?

    package init(message: String, hint: String? = nil, verb: String? = nil) {
        self.message = message
        self.hint = hint
        self.verb = verb
    }
}

/// Turns words into an invocation. Options may come before or after arguments, also before the verb.
package struct Parser: Sendable {
    private let program: Program

    package init(_ program: Program) { self.program = program }

    package enum Result: Sendable {
        case run(Invocation)
        case help(Verb?)
        /// No command was named.
        case nothing
        case version
    }

    package func parse(_ words: [String], console: Console) throws -> Result {
        var rest = words[...]
        var values: [String: [String]] = [:]
        var positional: [String] = []
        var onlyArguments = false
        // Before the verb is known, the options of any verb count.
        let place = firstVerb(words)
        let verb = place.flatMap { program.verb(named: words[$0]) }
        if let verb, let place, verb.passesOn != nil {
            if let before = words[..<place].first { return try self.before(before, verb) }
            let arguments = Array(words[(place + 1)...])
            return .run(Invocation(program: program, verb: verb, values: [:], arguments: arguments, console: console))
        }
        let known = program.common + (verb.map { $0.options + Self.outputOption($0) } ?? [])
        while let word = rest.popFirst() {
            if onlyArguments || word == "-" || !word.hasPrefix("-") {
                positional.append(word)
                continue
            }
            if word == "--" {
                onlyArguments = true
                continue
            }
            if word == "-h" || word == "--help" { return .help(verb) }
            if word == "--version", verb == nil { return .version }
            let (name, inline) = split(word)
            guard let option = known.first(where: { $0.name == name }) else {
                // What is wrong is the command then: nobody knows its options.
                if verb == nil, let first = positional.first, first != "help" { throw unknownVerb(first) }
                throw unknownOption(word, name, among: known, verb)
            }
            let value = try value(of: option, inline, &rest, verb)
            if values[name] != nil, !option.isRepeatable, option.value != nil {
                throw UsageError(message: "option '--\(name)' is given twice", verb: verb?.name)
            }
            values[name, default: []].append(value)
        }
        guard let first = positional.first else { return .nothing }
        if first == "help" {
            guard let name = positional.dropFirst().first else { return .help(nil) }
            guard let verb = program.verb(named: name) else { throw unknownVerb(name) }
            return .help(verb)
        }
        guard let verb else { throw unknownVerb(first) }
        let arguments = Array(positional.dropFirst())
        try check(arguments, values, verb)
        return .run(Invocation(program: program, verb: verb, values: values, arguments: arguments, console: console))
    }

    /// A word before the name of a verb that passes on what follows it: the other program would never see it.
    private func before(_ word: String, _ verb: Verb) throws(UsageError) -> Result {
        if word == "-h" || word == "--help" { return .help(verb) }
        throw UsageError(
            message: "'\(word)' is before '\(verb.name)', which takes none of the options of \(program.name)",
            hint: "what the other program is to get stands behind: \(program.name) \(verb.name) ...",
            verb: verb.name
        )
    }

    /// The option's value, from the same word or the next one; empty for an option that takes none.
    private func value(
        of option: Option,
        _ inline: String?,
        _ rest: inout ArraySlice<String>,
        _ verb: Verb?
    ) throws -> String {
        let name = option.name
        guard let placeholder = option.value else {
            guard inline == nil else {
                throw UsageError(message: "option '--\(name)' takes no value", verb: verb?.name)
            }
            return ""
        }
        guard let value = inline ?? rest.popFirst() else {
            throw UsageError(message: "option '--\(name)' needs a value: \(placeholder)", verb: verb?.name)
        }
        if case .choice(let choices) = option.kind, !choices.contains(value) {
            throw UsageError(
                message: "'\(value)' is not a value of '--\(name)': \(choices.joined(separator: ", "))",
                verb: verb?.name
            )
        }
        if option.kind == .setting, !value.contains("=") {
            throw UsageError(message: "'\(value)' is not KEY=VALUE", verb: verb?.name)
        }
        if let slip = option.slip?(value) {
            throw UsageError(message: slip.message, hint: slip.hint, verb: verb?.name)
        }
        return value
    }

    private func unknownOption(_ word: String, _ name: String, among known: [Option], _ verb: Verb?)
        -> UsageError
    {
        let begun = known.map(\.name).filter { name.count > 1 && $0.hasPrefix(name) }
        let nearest = begun.count == 1 ? begun[0] : closestMatch(to: name, among: known.map(\.name))
        return UsageError(
            message: "unknown option '\(word)'",
            hint: nearest.map { "did you mean '--\($0)'?" },
            verb: verb?.name
        )
    }

    private func unknownVerb(_ name: String) -> UsageError {
        let nearest = closestMatch(to: name, among: program.verbs.map(\.name))
        return UsageError(message: "there is no command '\(name)'", hint: nearest.map { "did you mean '\($0)'?" })
    }

    /// An option's name, and the value in the same word.
    private func split(_ word: String) -> (name: String, inline: String?) {
        if let option = short(word) { return (option.name, nil) }
        guard word.hasPrefix("--") else { return (String(word.dropFirst()), nil) }
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : nil)
    }

    /// The option that one letter names.
    private func short(_ word: String) -> Option? {
        (program.common + [.output([])]).first { $0.short.map { "-\($0)" } == word }
    }

    package static func outputOption(_ verb: Verb) -> [Option] {
        verb.formats.isEmpty ? [] : [.output(verb.formats)]
    }

    /// The place of the first word that is neither an option nor an option's value.
    private func firstVerb(_ words: [String]) -> Int? {
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-"), word != "-" else { return rest.startIndex - 1 }
            if word == "--" { return rest.isEmpty ? nil : rest.startIndex }
            if let option = short(word) {
                if option.value != nil { _ = rest.popFirst() }
            } else if word.hasPrefix("--"), !word.contains("=") {
                let name = word.dropFirst(2)
                let takesValue =
                    program.common.contains { $0.name == name && $0.value != nil }
                    || program.verbs.contains { verb in
                        (verb.options + Self.outputOption(verb)).contains { $0.name == name && $0.value != nil }
                    }
                if takesValue { _ = rest.popFirst() }
            }
        }
        return nil
    }

    private func check(
        _ arguments: [String],
        _ values: [String: [String]],
        _ verb: Verb
    ) throws {
        let required = verb.arguments.filter(\.isRequired)
        if arguments.count < required.count {
            throw UsageError(
                message: "'\(verb.name)' needs \(required[arguments.count].name): \(required[arguments.count].summary)",
                verb: verb.name
            )
        }
        if arguments.count > verb.arguments.count, verb.arguments.last?.isRepeatable != true {
            throw UsageError(
                message: "'\(verb.name)' does not know what to do with '\(arguments[verb.arguments.count])'",
                verb: verb.name
            )
        }
        for (value, argument) in zip(arguments, verb.arguments) {
            if case .choice(let choices) = argument.kind, !choices.contains(value) {
                let begun = choices.filter { !value.isEmpty && $0.hasPrefix(value) }
                let nearest = begun.count == 1 ? begun[0] : closestMatch(to: value, among: choices)
                throw UsageError(
                    message: "'\(value)' is not one of \(choices.joined(separator: ", "))",
                    hint: nearest.map { "did you mean '\($0)'?" },
                    verb: verb.name
                )
            }
        }
        try checkUse(arguments, values, verb)
        for option in verb.options where option.isRequired && values[option.name] == nil {
            throw UsageError(
                message: "'\(verb.name)' needs --\(option.name) \(option.value ?? "")",
                verb: verb.name
            )
        }
    }

    /// What is given must mean something there.
    private func checkUse(
        _ arguments: [String],
        _ values: [String: [String]],
        _ verb: Verb
    ) throws(UsageError) {
        let first = arguments.first
        for (value, argument) in zip(arguments, verb.arguments) {
            guard let first, let choices = argument.with, !choices.contains(first) else { continue }
            throw UsageError(
                message: "'\(verb.name) \(first)' does not know what to do with '\(value)'",
                verb: verb.name
            )
        }
        for option in verb.options where values[option.name] != nil {
            guard let objection = option.objection(verb, first, values) else { continue }
            throw UsageError(message: objection, verb: verb.name)
        }
    }
}
