package import EnsignSystem

/// Stock git, for what is its own business: configuration, commits in the user's name, fetch, push, packing.
package enum Git {
    /// A git command that ended with a non-zero status.
    package struct CommandFailure: Error, Sendable, Hashable, CustomStringConvertible {
        package var command: String
        package var status: Int32
        /// The first line that git wrote about it.
        package var reason: String

        package var description: String { "git \(command) failed: \(reason)" }
    }

    /// Runs git in a repository. A non-zero status is a result.
    package static func run(
        _ arguments: [String],
        in site: Site,
        input: String = "",
        deadline: Duration = .seconds(120),
        isCancelled: (@Sendable () -> Bool)? = nil
    ) throws(SystemError) -> Subprocess.Outcome {
        // Hooks run with GIT_DIR and others set, which would override the repository named here.
        let environment: [String: String?] = [
            "GIT_DIR": nil, "GIT_WORK_TREE": nil, "GIT_INDEX_FILE": nil, "GIT_PREFIX": nil, "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
        ]
        var process = Subprocess(
            "git",
            ["--git-dir", site.gitDirectory] + arguments,
            environment: environment,
            input: Array(input.utf8),
            deadline: deadline
        )
        if let isCancelled {
            // With what it has started: an ssh that hangs outlives git otherwise.
            (process.isCancelled, process.leadsGroup) = (isCancelled, true)
        }
        return try process.run()
    }

    /// Runs git and throws ``CommandFailure`` on a non-zero status.
    ///
    /// - Returns: What it wrote on standard output.
    @discardableResult
    package static func check(
        _ arguments: [String],
        in site: Site,
        input: String = "",
        deadline: Duration = .seconds(120),
        isCancelled: (@Sendable () -> Bool)? = nil
    ) throws -> String {
        let outcome = try run(arguments, in: site, input: input, deadline: deadline, isCancelled: isCancelled)
        guard outcome.status == 0 else {
            let lines = outcome.errorText.split(separator: "\n")
            let reason = outcome.timedOut ? "no answer in \(deadline)" : lines.last.map(String.init)
            throw CommandFailure(
                command: arguments.first { !$0.hasPrefix("-") } ?? "",
                status: outcome.status,
                reason: reason ?? "status \(outcome.status)"
            )
        }
        return outcome.outputText
    }
}
