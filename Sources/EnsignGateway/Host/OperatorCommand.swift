import EnsignSystem

extension Subprocess {
    /// A command of the operator's file: no shell, none of this process's environment, and ended with all that it started.
    static func ofOperator(
        _ program: String,
        _ arguments: [String],
        input: [UInt8] = [],
        deadline: Duration,
        outputLimit: Int
    ) -> Subprocess {
        var command = Subprocess(
            program,
            arguments,
            environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"],
            input: input,
            deadline: deadline,
            outputLimit: outputLimit
        )
        command.inheritsEnvironment = false
        command.leadsGroup = true
        return command
    }
}
