package import EnsignSystem

/// Stock git, for what is its own business: configuration, commits in the user's name, fetch, push, packing.
package enum Git {
    /// A git command that ended with a non-zero status.
    package struct CommandFailure: Error, Sendable, Hashable, CustomStringConvertible {
        package var command: String
        package var status: Int32
        /// The line in which git says why: see ``GitComplaint``.
        package var reason: String

        package init(command: String, status: Int32, reason: String) {
            (self.command, self.status, self.reason) = (command, status, reason)
        }

        package var description: String { "git \(command) failed: \(reason)" }
    }

    /// What a child's environment must not have, so that it works on the repository that it is given: a hook, also one
    /// of another repository, runs with variables that name that repository, its index, or its quarantine.
    ///
    /// What `git rev-parse --local-env-vars` lists, in any version, the quarantine, in which git moves no ref, and what
    /// `git --literal-pathspecs` and its like leave to their children: our paths are written as git reads them by itself.
    package static let withoutRepository: [String: String?] = Dictionary(
        uniqueKeysWithValues: [
            "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT",
            "GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE",
            "GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
            "GIT_QUARANTINE_PATH", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS",
            "GIT_ICASE_PATHSPECS", "GIT_REFERENCE_BACKEND", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
        ].map { ($0, nil) }
    )

    /// Runs git in a repository. A non-zero status is a result.
    package static func run(
        _ arguments: [String],
        in site: Site,
        input: String = "",
        deadline: Duration = .seconds(120),
        outputLimit: Int = 1 << 24,
        isCancelled: (@Sendable () -> Bool)? = nil
    ) throws(SystemError) -> Subprocess.Outcome {
        var environment = withoutRepository
        environment["LC_ALL"] = "C"
        environment["GIT_TERMINAL_PROMPT"] = "0"
        var process = Subprocess(
            "git",
            ["--git-dir", site.gitDirectory] + site.settingsOfGit.flatMap { ["-c", "\($0.key)=\($0.value)"] }
                + arguments,
            environment: environment,
            input: Array(input.utf8),
            deadline: deadline
        )
        process.outputLimit = outputLimit
        if let isCancelled {
            // With what it has started: an ssh that hangs outlives git otherwise.
            (process.isCancelled, process.leadsGroup) = (isCancelled, true)
        }
        return try site.runGit(process)
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
            throw CommandFailure(
                command: command(arguments),
                status: outcome.status,
                reason: reason(outcome, deadline)
            )
        }
        return outcome.outputText
    }

    /// Which of git's commands the arguments name, behind git's own options.
    private static func command(_ arguments: [String]) -> String {
        var rest = arguments[...]
        while let word = rest.first, word.hasPrefix("-") {
            rest = rest.dropFirst(["-c", "-C", "--work-tree", "--git-dir"].contains(word) ? 2 : 1)
        }
        return rest.first ?? ""
    }

    /// A push of these refs and no others: a clone that was made with `--mirror` pushes all or nothing otherwise. Hooks for people
    /// who push are not asked.
    ///
    /// - Parameter remote: By name; an address has no such setting.
    package static func push(to remote: String) -> [String] {
        let setting = "remote.\(remote).mirror=false"
        return (remote.contains("=") ? [] : ["-c", setting]) + ["push", "--no-verify"]
    }

    /// Why a command failed, in one line.
    package static func reason(_ outcome: Subprocess.Outcome, _ deadline: Duration) -> String {
        outcome.timedOut
            ? "no answer in \(deadline)"
            : GitComplaint.reason(in: outcome.errorText) ?? "status \(outcome.status)"
    }
}
