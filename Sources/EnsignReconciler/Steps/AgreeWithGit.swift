import EnsignModel

/// Step 13: does git agree with what was rolled back?
extension ReconcileSession {
    /// Writes the commits that make git agree with what was rolled back. All that is live is recorded by now: what goes
    /// wrong here is reported, and left to the next run.
    mutating func agreeWithGit() throws {
        guard let tip, let desired else { return }
        let branches = RollbackBranches(site: site, environment: environment, today: now.date)
        do {
            report.branches = try branches.settle(tip, desired, key: try key(), now: now)
        } catch {
            report.notes.append("rollback branches were not looked at: \(error)")
        }
    }
}
