import CGit2

/// Git keeps settings of one work tree alone in `config.worktree` (git-worktree(1), `extensions.worktreeConfig`), and moves
/// there what says whether there is a work tree at all. libgit2 does not read that file.
extension Repository {
    /// The name of the setting that makes git read `config.worktree`.
    package static let workTreeExtension = "extensions.worktreeconfig"

    /// Where the work tree is by libgit2, and by what it does not read.
    func findWorkTree() -> String? {
        let own = workTreeSettings()
        if let isBare = own["core.bare"], GitBoolean.value(isBare) == true { return nil }
        if let place = own["core.worktree"] {
            // In memory alone.
            let path = place.hasPrefix("/") ? place : gitDirectory + place
            _ = unsafe git_repository_set_workdir(handle, path, 0)
        }
        return unsafe git_repository_workdir(handle).map { unsafe String(cString: $0) }
    }

    /// Empty where git does not read the file either.
    private func workTreeSettings() -> [String: String] {
        guard let extensions = try? configuration()[Self.workTreeExtension], GitBoolean.value(extensions) == true else {
            return [:]
        }
        var config: OpaquePointer?
        guard unsafe git_config_open_ondisk(&config, gitDirectory + "config.worktree") == 0 else { return [:] }
        defer { unsafe git_config_free(config) }
        let entries = try? unsafe Self.entries(of: config)
        return Dictionary((entries ?? []).map { ($0.name, $0.value) }) { $1 }
    }
}
