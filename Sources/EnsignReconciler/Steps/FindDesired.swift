import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignTargets

/// Step 5: what is desired?
extension ReconcileSession {
    /// No desired commit when the branch is gone or cannot be read: that is the report's failure then, and what is live
    /// follows the last accepted commit.
    mutating func findDesired() throws {
        do { desired = try site.desiredCommit() } catch { report.failure = error }
        guard desired == nil, report.failure == nil else { return }
        // A host that was set up anew has the ledger before it has the branch: nobody took that away.
        if let remote = site.settings.remote {
            report.failure = ReconcileError.notFetched(site.settings.desiredRef, remote: remote)
        }
        let wasLive = try tip?.acceptedSource != nil && target.read(LivePath.header) != nil
        if !wasLive {
            // There is nothing to continue.
            report.result = .nothingDeclared
            isOver = true
        }
    }
}
