/// Why Ensign keeps something between runs. There are four reasons, and each says what a loss costs.
package enum StateReason: Sendable, Hashable, CaseIterable {
    /// It follows from the ledger alone, and is made again by walking it: see ``LedgerProjection``.
    case projection
    /// The result of a pure function, which would cost much to compute again.
    case memo
    /// How far a scan has come: without it the scan begins anew.
    case scan
    /// Nothing else knows it.
    case memory

    /// Whether it is made again when it is gone. All of that is in `cache/`, which may be deleted at any time.
    package var canBeMadeAgain: Bool { self != .memory }
}

/// What all files with one kind of state have in common.
package struct StateKind: Sendable, Hashable {
    /// Below `<git dir>/ensign/`, with `<env>` for the environment and `<part>` for what it is about there.
    package let pattern: String
    package let reason: StateReason
    /// Of the format. What another version wrote is as good as nothing.
    package let version: Int64
    /// The most bytes that are read: what is larger cannot be Ensign's.
    package let limit: Int
    /// Whether writing waits for the disk.
    package let isDurable: Bool
    /// Where an earlier release kept it; taken over once, and removed when it is written anew.
    package let formerPattern: String?

    package init(
        _ pattern: String,
        _ reason: StateReason,
        version: Int64 = 1,
        limit: Int,
        isDurable: Bool = false,
        formerly formerPattern: String? = nil
    ) {
        self.pattern = pattern
        self.reason = reason
        self.version = version
        self.limit = limit
        self.isDurable = isDurable
        self.formerPattern = formerPattern
    }
}
