extension Verb {
    /// What every program of this package has.
    package static func completion(of program: String, _ group: Group) -> Verb {
        Verb(
            name: "completion",
            group: group,
            summary: "Print a completion script for a shell",
            arguments: [Argument(name: "SHELL", summary: "bash or zsh", kind: .choice(["bash", "zsh"]))],
            examples: [
                Example(command: "source <(\(program) completion bash)", meaning: "in ~/.bashrc"),
                Example(command: "\(program) completion zsh > ~/.zfunc/_\(program)", meaning: "in a folder of fpath"),
            ],
            output: .answer
        ) { invocation in
            let name = invocation.program.name
            let script = invocation.argument(0) == "zsh" ? CompletionScript.zsh(name) : CompletionScript.bash(name)
            invocation.console.out(script)
            return .done
        }
    }
}
