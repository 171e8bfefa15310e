/// Completion scripts. They ask the program itself at each press of the key, so that names are the repository's, wherever
/// that is; see ``Completer``.
package enum CompletionScript {
    /// What the scripts call: `ensign __complete SHELL WORD ...`, the last word being the one that is written.
    package static let verb = "__complete"

    /// It reads the line as bash does: words in quotes, what is behind a backslash, and the home folder. `COMP_WORDS` has them
    /// cut at every `:`, `=` and `@`, with their quotes.
    package static func bash(_ program: String) -> String {
        #"""
        # Completion for \#(program) in bash. Made by: \#(program) completion bash
        _\#(program)() {
            local line="${COMP_LINE:0:COMP_POINT}" word="" quote="" begun="" current before char next i
            local -a words=()
            for ((i = 0; i < ${#line}; i++)); do
                char="${line:i:1}" next="${line:i + 1:1}"
                if [[ -n "$quote" && "$char" == "$quote" ]]; then
                    quote=""
                elif [[ "$quote" == "'" ]]; then
                    word+="$char"
                elif [[ "$char" == "\\" && (-z "$quote" || "$next" == [\"\\\$\`]) ]]; then
                    word+="$next" begun=1 i=$((i + 1))
                elif [[ -n "$quote" ]]; then
                    word+="$char"
                elif [[ "$char" == [\"\'] ]]; then
                    quote="$char" begun=1
                elif [[ "$char" == [[:space:]] ]]; then
                    [[ -n "$begun" ]] && words+=("$word")
                    word="" begun=""
                elif [[ -z "$begun" && "$char" == "~" && ("$next" == [/[:space:]] || -z "$next") ]]; then
                    word="$HOME" begun=1
                else
                    word+="$char" begun=1
                fi
            done
            words+=("$word")
            COMPREPLY=()
            while IFS= read -r current; do
                COMPREPLY+=("$current")
            done < <("${words[0]}" \#(verb) bash "${words[@]:1}" 2>/dev/null)
            # bash replaces what follows the last of its word breaks; in quotes, all of the word.
            before="${word%"${word##*[@=:]}"}"
            [[ -n "$before" && -z "$quote" ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
            [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *@ ]] && compopt -o nospace 2>/dev/null
            return 0
        }
        complete -o default -F _\#(program) \#(program)

        """#
    }

    package static func zsh(_ program: String) -> String {
        """
        #compdef \(program)
        # Completion for \(program) in zsh. Made by: \(program) completion zsh
        _\(program)() {
            local -a found
            found=("${(@f)$("${words[1]}" \(verb) zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
            if [[ -n "${found[*]}" ]]; then
                _describe '\(program)' found
            else
                _files
            fi
        }
        _\(program) "$@"

        """
    }
}
