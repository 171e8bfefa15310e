import EnsignGit
import EnsignReconciler
import EnsignSystem

/// Stock git, for what is its own business: configuration, commits in the user's name, fetch, push, packing.
enum Git {
    /// Runs git in a repository.
    static func run(
        _ arguments: [String], in site: Site, input: String = "", deadline: Duration = .seconds(120)
    ) throws -> Subprocess.Outcome {
        // Hooks run with GIT_DIR and others set, which would override the repository named here.
        let cleared: [String: String?] = [
            "GIT_DIR": nil, "GIT_WORK_TREE": nil, "GIT_INDEX_FILE": nil, "GIT_PREFIX": nil, "LC_ALL": "C",
        ]
        return try Subprocess(
            "git", ["--git-dir", site.repository.gitDirectory] + arguments, environment: cleared,
            input: Array(input.utf8), deadline: deadline
        ).run()
    }

    /// Runs git and takes a non-zero status for a failure.
    @discardableResult
    static func check(_ arguments: [String], in site: Site, input: String = "") throws -> String {
        let outcome = try run(arguments, in: site, input: input)
        guard outcome.status == 0 else {
            let reason = outcome.errorText.split(separator: "\n").first.map(String.init) ?? "status \(outcome.status)"
            throw Failure(message: "git \(arguments[0]) failed: \(reason)")
        }
        return outcome.outputText
    }
}
