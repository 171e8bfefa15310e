package import EnsignLedger
package import EnsignModel

/// What is known of an environment's forge: whether it answers, and whether it has the whole ledger.
package struct ForgeStatus: Sendable, Hashable {
    package var remote: String
    package var fetch: ForgeFetch
    package var push: ForgePush
    /// The number of the newest entry here; nil without a ledger.
    package var newest: Int64?

    /// Reads two small files, without network.
    ///
    /// - Returns: nil where no forge is followed: it is the host's business alone.
    package static func of(_ environment: String, _ site: Site, _ tip: RecordedEntry?) -> ForgeStatus? {
        guard site.reconciles, let remote = site.settings.remote else { return nil }
        return ForgeStatus(
            remote: remote,
            fetch: StateFile<ForgeFetch>(site.files).known() ?? ForgeFetch(),
            push: StateFile<ForgePush>(site.files, environment).known() ?? ForgePush(),
            newest: tip?.entry.sequence
        )
    }

    /// How many entries the forge is not known to have.
    package var unpushed: Int64 {
        guard let newest else { return 0 }
        return max(0, newest.subtracting(saturating: push.sequence ?? -1))
    }

    /// Whether nothing was fetched although it was tried: what is desired may have moved on.
    package var isStale: Bool { fetch.failure != nil }

    /// Whether it has not got all that is made here: the ledger, and rollback branches.
    package var lacksSomething: Bool { push.failure != nil || push.branchFailure != nil }

    /// What is the matter, a sentence each without a full stop; empty when all is well.
    package var sentences: [String] {
        var sentences: [String] = []
        if let failure = fetch.failure {
            let last = fetch.last.map { "since \($0)" } ?? "ever"
            sentences.append("nothing was fetched from \(remote) \(last): \(failure.reason)")
        }
        if let failure = push.failure {
            let missing = Int(clamping: unpushed)
            let what =
                missing > 0
                ? "\(counted(missing, "entry is", "entries are")) not pushed to \(remote)"
                : "\(remote) does not take the ledger"
            sentences.append("\(what) since \(failure.since): \(failure.reason)")
        }
        if let failure = push.branchFailure {
            sentences.append("since \(failure.since) \(failure.reason)")
        }
        return sentences
    }

    package var json: JSONValue {
        [
            "remote": .string(remote), "lastFetch": fetch.last.map { .string($0.description) } ?? .null,
            "fetchFailure": fetch.failure?.json ?? .null, "pushFailure": push.failure?.json ?? .null,
            "branchFailure": push.branchFailure?.json ?? .null, "unpushed": .integer(unpushed),
        ]
    }

    // MARK: Notices

    /// What an operator is told about, once for as long as it lasts.
    package enum Trouble: String, Sendable, CaseIterable {
        case fetch, push, branch
    }

    /// A single fetch that fails is nobody's business: the next one is seconds away.
    package var troubles: Set<Trouble> {
        var troubles: Set<Trouble> = []
        if let failure = fetch.failure, failure.attempts > 1 { troubles.insert(.fetch) }
        if push.failure != nil { troubles.insert(.push) }
        if push.branchFailure != nil { troubles.insert(.branch) }
        return troubles
    }
}
