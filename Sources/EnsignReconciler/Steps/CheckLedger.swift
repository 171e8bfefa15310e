import EnsignCrypto
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignTargets

/// Step 1: is the ledger what this clone has seen, and the target its own?
extension ReconcileSession {
    mutating func checkLedger() throws {
        var loss: LedgerError?
        do { try ledger.checkHighWater(tip, demandsWitness: true) } catch let error as LedgerError where error.isLoss {
            guard reconciler.options.acceptsLoss, tip != nil else { throw error }
            loss = error
        }
        guard let tip else { return }
        let path = site.settings.signingKey(environment, site.files)
        if try KeyRotation.isInterrupted(after: tip, environment, path) {
            throw ReconcileError.rotationInterrupted(environment: environment)
        }
        guard let key = try LedgerKey.load(environment, path: path) else {
            throw ReconcileError.missingKey(environment: environment, path: path)
        }
        // The newest entry is ours, or hands over to our key. Anybody can write that it does, so the whole chain must
        // then bear it out; that is checked once after a rotation.
        if tip.signer != key.publicKey {
            let handsOver = tip.entry.kind == .key && tip.entry.keys?.contains(key.publicKey.line) == true
            let verdict = handsOver ? try Verifier(ledger).run().verdict : nil
            if case .incomplete(let why)? = verdict {
                throw GitError(code: -1, operation: "verify the ledger of '\(environment)'", message: why)
            }
            guard verdict == .intact else {
                let former = try LedgerKey.former(path, tip.signer)
                throw LedgerError.broken(
                    environment: environment,
                    sequence: tip.entry.sequence,
                    why:
                        "it is signed by \(tip.signer.fingerprint), and this clone's key is \(key.publicKey.fingerprint)"
                        + (former.map { "; \($0) is the one that signed it: put it in the place of \(path)" } ?? "")
                )
            }
        }
        try checkTarget()
        // Last: what is refused has accepted nothing.
        if let loss { try accept(loss, tip) }
    }

    /// Goes on from an older ledger, or another chain. Nobody knows what the lost entries said; who was halted by them still
    /// is, until somebody resumes.
    private mutating func accept(_ loss: LedgerError, _ tip: RecordedEntry) throws {
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let halted = try (site.witness(environment)?.halted() ?? []).filter { agent in
            try recorded.agent(agent)?.state.isHalted != true
        }
        let by = "\(reconciler.actor.name)@\(reconciler.actor.host)"
        let effect = try halts.pull(
            halted.map { agent in
                HaltRecord(
                    scope: .agent(agent),
                    reason: "\(loss)",
                    by: by,
                    time: Moment(now),
                    after: tip.entry.sequence
                )
            }
        )
        // What cannot be remembered would be started by this very run.
        if let why = effect.forgotten { throw why }
        try ledger.forgetNewer(tip)
        report.warnings.append("\(loss): its entries are lost, and it goes on from here")
        for agent in halted {
            report.warnings.append("\(agent) was halted by what is lost, and stays so until 'ensign resume'")
        }
    }

    func checkTarget() throws {
        if let obstacle = try target.obstacle() { throw ReconcileError.target(obstacle) }
        try TargetOwnership(site, environment).check()
    }

}
