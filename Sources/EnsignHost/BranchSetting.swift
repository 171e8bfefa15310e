/// What is wrong with `ensign.branch`: whoever has misspelt a name there has a repository in which nothing that is pushed is
/// looked at.
extension Site {
    /// - Returns: A sentence without a full stop; nil when the branch is there, and when nobody has named one.
    package func branchSlip() throws -> String? {
        guard settings.namesBranch, try desiredCommit() == nil else { return nil }
        return "git config ensign.branch names '\(settings.branch)', and there is no \(settings.desiredRef) here"
    }
}
