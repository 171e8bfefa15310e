package import EnsignLedger
package import EnsignModel

/// Why the forge could not be fetched from, or did not take a ledger or a branch, since the last time that it worked.
package struct ForgeFailure: Sendable, Hashable {
    /// When it first failed.
    package var since: Timestamp
    /// How many attempts have failed since then; at least 1.
    package var attempts: Int64
    /// One line, at most 500 bytes.
    package var reason: String

    /// The failure after one more attempt.
    static func adding(_ reason: String, to failure: ForgeFailure?, at now: Timestamp) -> ForgeFailure {
        ForgeFailure(
            since: failure?.since ?? now,
            attempts: (failure?.attempts ?? 0).adding(saturating: 1),
            reason: reason.cut(utf8: 500)
        )
    }

    package var json: JSONValue {
        ["since": .string(since.description), "attempts": .integer(attempts), "reason": .string(reason)]
    }

    fileprivate init?(_ json: JSONValue?) {
        guard let since = json?["since"]?.string.flatMap({ Timestamp($0) }), let reason = json?["reason"]?.string
        else { return nil }
        // Earlier versions kept it with what an address has behind its "?".
        let plain = reason.withoutCredentials.cut(utf8: 500)
        self.init(since: since, attempts: max(1, json?["attempts"]?.int ?? 1), reason: plain)
    }

    private init(since: Timestamp, attempts: Int64, reason: String) {
        (self.since, self.attempts, self.reason) = (since, attempts, reason)
    }
}

/// How fetching from the forge went, kept for whoever asks: `<git dir>/ensign/forge/branch.fetch`.
package struct ForgeFetch: Sendable, Hashable {
    /// When the branch was last fetched; nil for never.
    package private(set) var last: Timestamp?
    /// Nil when the last attempt went well.
    package private(set) var failure: ForgeFailure?

    package init() {}

    package mutating func succeeded(at now: Timestamp) { (last, failure) = (now, nil) }

    package mutating func failed(_ reason: String, at now: Timestamp) {
        failure = .adding(reason, to: failure, at: now)
    }
}

extension ForgeFetch: StateValue {
    // No environment's name has a dot.
    package static let kind = StateKind("forge/branch.fetch", .memory, limit: 1 << 14)

    package init?(_ contents: StateContents) {
        last = contents["last"]?.string.flatMap { Timestamp($0) }
        failure = ForgeFailure(contents["failure"])
    }

    package var contents: StateContents {
        StateContents([
            "last": last.map { .string($0.description) } ?? .null, "failure": failure?.json ?? .null,
        ])
    }
}

/// How bringing an environment's ledger and its rollback branches to the forge went: `<git dir>/ensign/forge/<env>`.
package struct ForgePush: Sendable, Hashable {
    /// The newest entry that the forge is known to have; nil for none.
    package private(set) var sequence: Int64?
    package private(set) var failure: ForgeFailure?
    /// Why a rollback branch is not there as it is here; nil when all are.
    package private(set) var branchFailure: ForgeFailure?

    package init() {}

    package mutating func settled() { branchFailure = nil }

    package mutating func failedToSettle(_ reason: String, at now: Timestamp) {
        branchFailure = .adding(reason, to: branchFailure, at: now)
    }

    package mutating func succeeded(_ sequence: Int64) { (self.sequence, failure) = (sequence, nil) }

    package mutating func failed(_ reason: String, at now: Timestamp) {
        failure = .adding(reason, to: failure, at: now)
    }
}

extension ForgePush: StateValue {
    package static let kind = StateKind("forge/<env>", .memory, limit: 1 << 14)

    package init?(_ contents: StateContents) {
        sequence = contents["seq"]?.int
        failure = ForgeFailure(contents["failure"])
        branchFailure = ForgeFailure(contents["branchFailure"])
    }

    package var contents: StateContents {
        StateContents([
            "seq": sequence.map { .integer($0) } ?? .null, "failure": failure?.json ?? .null,
            "branchFailure": branchFailure?.json ?? .null,
        ])
    }
}
