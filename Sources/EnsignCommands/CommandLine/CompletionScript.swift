/// Completion scripts, made from the verbs' declarations.
enum CompletionScript {
    private static var verbs: [Verb] { Verbs.all.filter { !$0.isHidden } }

    private static func options(_ verb: Verb) -> [Option] { verb.options + Parser.outputOption(verb) + Option.common }

    /// What a shell asks for when a value of a kind is wanted.
    private static func words(_ kind: ValueKind) -> String? {
        switch kind {
        case .choice(let choices): "echo \(choices.joined(separator: " "))"
        case .environment: "ls -1 environments 2>/dev/null"
        case .agent: "ls -1d fleet/agents/*/* 2>/dev/null | sed 's|^fleet/agents/||'"
        case .tool: "ls -1 fleet/tools 2>/dev/null"
        case .revision: "git for-each-ref --format='%(refname:short)' refs/heads refs/tags refs/remotes 2>/dev/null"
        case .text, .file: nil
        }
    }

    static func bash() -> String {
        var cases = ""
        for verb in verbs {
            cases += "        \(verb.name))\n"
            cases += "            options=\"\(options(verb).map { "--\($0.name)" }.joined(separator: " "))\"\n"
            let kinds = verb.arguments.map { words($0.kind) ?? "" }
            for (index, command) in kinds.enumerated() where !command.isEmpty {
                cases += "            [ \"$position\" -eq \(index) ] && words=\"$(\(command))\"\n"
            }
            cases += "            ;;\n"
        }
        // By verb: --output has other formats in some.
        var values: [(action: String, patterns: [String])] = []
        var valued: Set<String> = []
        // Options of every command may come before the verb.
        for (verb, options) in [("", Option.common)] + verbs.map({ ($0.name, options($0)) }) {
            for option in options where option.value != nil {
                valued.insert("--\(option.name)")
                let action = valueAction(option.kind)
                let pattern = "\(verb):--\(option.name)"
                if let index = values.firstIndex(where: { $0.action == action }) {
                    values[index].patterns.append(pattern)
                } else {
                    values.append((action, [pattern]))
                }
            }
        }
        let valueCases = values.map { "    \($0.patterns.joined(separator: "|"))) \($0.action) ;;\n" }.joined()
        return """
            # Completion for ensign in bash. Made by: ensign completion bash
            _ensign() {
                local word previous verb="" position=-1 options="" words="" index
                word="${COMP_WORDS[COMP_CWORD]}"
                previous="${COMP_WORDS[COMP_CWORD-1]}"
                COMPREPLY=()
                for ((index = 1; index < COMP_CWORD; index++)); do
                    case "${COMP_WORDS[index-1]}" in
                    \(valued.sorted().joined(separator: "|"))) continue ;;
                    esac
                    case "${COMP_WORDS[index]}" in
                    -*) ;;
                    *) if [ -z "$verb" ]; then verb="${COMP_WORDS[index]}"; position=0
                       else position=$((position + 1)); fi ;;
                    esac
                done
                case "$verb:$previous" in
            \(valueCases)    esac
                if [ -z "$verb" ]; then
                    COMPREPLY=($(compgen -W "\(verbs.map(\.name).joined(separator: " "))" -- "$word"))
                    return
                fi
                case "$verb" in
            \(cases)    esac
                case "$word" in
                -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
                *) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
                esac
            }
            complete -o default -F _ensign ensign

            """
    }

    /// What bash does where an option's value is wanted.
    private static func valueAction(_ kind: ValueKind) -> String {
        if let command = words(kind) { return "COMPREPLY=($(compgen -W \"$(\(command))\" -- \"$word\")); return" }
        return kind == .file ? "COMPREPLY=($(compgen -f -- \"$word\")); return" : "return"
    }

    static func zsh() -> String {
        var cases = ""
        for verb in verbs {
            var specs = options(verb).map { option -> String in
                let star = option.isRepeatable ? "*" : ""
                let value = option.value.map { ":\(quoted($0)):\(action(option.kind))" } ?? ""
                return "'\(star)--\(option.name)[\(quoted(option.summary))]\(value)'"
            }
            specs += verb.arguments.enumerated().map { index, argument in
                "'\(index + 1):\(quoted(argument.name)):\(action(argument.kind))'"
            }
            cases += "    \(verb.name)) _arguments \(specs.joined(separator: " ")) ;;\n"
        }
        let list = verbs.map { "'\($0.name):\(quoted($0.summary))'" }.joined(separator: " ")
        return """
            #compdef ensign
            # Completion for ensign in zsh. Made by: ensign completion zsh
            _ensign() {
                local -a verbs
                verbs=(\(list))
                if (( CURRENT == 2 )); then
                    _describe 'command' verbs
                    return
                fi
                local verb=$words[2]
                shift words
                (( CURRENT-- ))
                case "$verb" in
            \(cases)    esac
            }
            _ensign "$@"

            """
    }

    private static func action(_ kind: ValueKind) -> String {
        switch kind {
        case .file: "_files"
        case .choice(let choices): "(\(choices.joined(separator: " ")))"
        case .text: " "
        case .environment, .agent, .tool, .revision:
            words(kind).map { "($(\($0.replacing("'", with: "'\\''"))))" } ?? " "
        }
    }

    /// Text inside a single-quoted zsh specification.
    private static func quoted(_ text: String) -> String {
        text.replacing("'", with: "'\\''").replacing("[", with: "\\[").replacing("]", with: "\\]")
            .replacing(":", with: "\\:")
    }
}
