import EnsignCommandLine

extension Verb {
    static let completion = Verb(
        name: "completion",
        group: .setUp,
        summary: "Print a completion script for a shell",
        arguments: [Argument(name: "SHELL", summary: "bash or zsh", kind: .choice(["bash", "zsh"]))],
        examples: [
            Example(command: "source <(ensign completion bash)", meaning: "in ~/.bashrc"),
            Example(command: "ensign completion zsh > ~/.zfunc/_ensign", meaning: "in a folder of fpath"),
        ]
    ) { invocation in
        let name = invocation.program.name
        let script = invocation.argument(0) == "zsh" ? CompletionScript.zsh(name) : CompletionScript.bash(name)
        invocation.console.out(script)
        return .done
    }
}
