import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel

/// The commit on a rollback branch: what its message says, and whether a commit is one.
package struct RollbackCommit: Hashable {
    var environment: String
    var agent: AgentID
    /// The quarantined version that git asks for.
    var wanted: Change.Side
    var stable: Change.Side
    /// Why it was rolled back, and what the analysis said, each in a line.
    var reason: String
    var verdict: String?
    /// The ledger's entry of the quarantine.
    var entry: String?

    private enum Trailer {
        static let rollback = "Ensign-Rollback"
        static let quarantined = "Ensign-Quarantined"
        static let stable = "Ensign-Stable"
        static let verdict = "Ensign-Verdict"
        static let entry = "Ensign-Entry"
    }

    /// The most bytes of a text from elsewhere, on one line: it must not end the paragraph, nor look like a trailer.
    private static let maxText = 500

    /// What it is about; a commit for another digest is another one.
    private var about: String { "\(environment) \(agent)" }

    /// - Parameter reverts: `This reverts commit <id>.`, when that is what it does.
    func message(reverts: String?, branch: String, desired: String) -> String {
        let versions =
            wanted.version == stable.version ? "\(wanted.version)" : "\(wanted.version) -> \(stable.version)"
        var text = "\(environment): roll back \(agent) \(versions)\n\n"
        if let reverts { text += "\(reverts)\n\n" }
        text += """
            \(wanted.version) is quarantined in \(environment): \(reason.onOneLine(utf8: Self.maxText)).
            Every session has \(stable.version) (\(stable.digest.short)). This commit makes git agree with that:
            merging it changes nothing that is live.

                git fetch origin \(branch)
                git merge FETCH_HEAD
                git push origin \(desired)

            Any other version goes ahead without it. To try \(wanted.version) again instead:

                ensign rollout retry \(agent) --env \(environment) --reason "..."


            """
        text += "\(Trailer.rollback): \(about)\n"
        text += "\(Trailer.quarantined): \(wanted.digest)\n"
        text += "\(Trailer.stable): \(stable.digest)\n"
        if let verdict { text += "\(Trailer.verdict): \(verdict.onOneLine(utf8: Self.maxText))\n" }
        if let entry { text += "\(Trailer.entry): \(entry)\n" }
        return text
    }

    /// A commit as it was found on a branch.
    package struct Found: Hashable {
        var parent: ObjectID
        var about: String
        var quarantined: String
        var stable: String
        var verdict: String?
        var entry: String?

        /// Reads a commit that Ensign made.
        ///
        /// - Parameter isKey: Whether a key may sign for the environment.
        /// - Returns: nil when it is not a commit that Ensign made for a rollback branch.
        init?(_ commit: Commit, isKey: (SSHPublicKey) throws -> Bool) rethrows {
            guard commit.parents.count == 1, let armored = commit.signature,
                let signature = try? SSHSignature(armored: armored),
                signature.verdict(on: commit.signedBytes, namespace: LedgerCommit.namespace) == .good,
                try isKey(signature.publicKey)
            else { return nil }
            var trailers: [String: String] = [:]
            for line in commit.message.split(separator: "\n").reversed() {
                guard line.hasPrefix("Ensign-"), let colon = line.firstIndex(of: ":") else { break }
                trailers[String(line[..<colon])] = String(line[colon...].dropFirst(2))
            }
            guard let about = trailers[Trailer.rollback], let quarantined = trailers[Trailer.quarantined],
                let stable = trailers[Trailer.stable]
            else { return nil }
            parent = commit.parents[0]
            self.about = about
            self.quarantined = quarantined
            self.stable = stable
            verdict = trailers[Trailer.verdict]
            entry = trailers[Trailer.entry]
        }
    }

    /// Whether a commit that was found says the same about the same commit of the branch.
    func isSaid(by found: Found, on desired: ObjectID) -> Bool {
        found.parent == desired && found.about == about && found.quarantined == wanted.digest.description
            && found.stable == stable.digest.description
    }
}
