/// Completion scripts. They ask the program itself at each press of the key, so that names are the repository's, wherever
/// that is; see ``Completer``.
package enum CompletionScript {
    /// What the scripts call: `ensign __complete SHELL WORD ...`, the last word being the one that is written.
    package static let verb = "__complete"

    package static func bash(_ program: String) -> String {
        """
        # Completion for \(program) in bash. Made by: \(program) completion bash
        _\(program)() {
            local line="${COMP_LINE:0:COMP_POINT}" current before
            local -a words
            read -ra words <<<"$line"
            [[ "$line" == *[[:space:]] ]] && words+=("")
            COMPREPLY=()
            while IFS= read -r current; do
                COMPREPLY+=("$current")
            done < <("${words[0]/#\\~/$HOME}" \(verb) bash "${words[@]:1}" 2>/dev/null)
            # bash replaces what follows the last of its word breaks.
            current="${words[${#words[@]} - 1]}"
            before="${current%"${current##*[@=:]}"}"
            [[ -n "$before" ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
            [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *@ ]] && compopt -o nospace 2>/dev/null
            return 0
        }
        complete -o default -F _\(program) \(program)

        """
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
