import EnsignCommandLine

/// What somebody meant who left out an option's name.
enum Slips {
    /// `dev AGENT --config FILE`, as ensign-gateway has it;
    /// `diff prod`, where two sides are compared;
    /// `plan prod` for `plan --env prod`, `promote AGENT prod` for `promote AGENT --to prod`; nil when it is neither.
    static func hint(_ words: [String]) -> String? {
        let line = Completer(App.program, words + [""])
        guard let verb = line.verb else { return nil }
        if verb.options.contains(where: { $0.name == "gateway" }), let file = line.values["config"], !file.contains("=")
        {
            return "did you mean '--gateway \(file)'? --config is for git's settings"
        }
        guard let option = verb.options.first(where: { $0.kind == .environment && line.values[$0.name] == nil }),
            let word = line.arguments.last, line.knownEnvironments.contains(word)
        else { return nil }
        if verb.arguments.last?.kind == .side {
            let other = line.knownEnvironments.first { $0 != word } ?? "ENV"
            return line.arguments.count > 1
                ? nil
                : "compare two: ensign \(verb.name) \(other) \(word), or ensign \(verb.name) main~1 main --env \(word)"
        }
        return "did you mean '--\(option.name) \(word)'?"
    }
}
