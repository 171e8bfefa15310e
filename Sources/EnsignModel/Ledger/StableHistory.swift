/// What the ledger says about a digest's time as the stable one.
package struct StableHistory: Sendable, Hashable {
    /// Whether it first became stable before the present one first did.
    package var isEarlier: Bool
    /// When it was last replaced.
    package var stableUntil: Timestamp
    /// Whether it last ended with a rollback: somebody withdrew it, so it is not known to be good.
    package var wasTakenBack: Bool

    package init(isEarlier: Bool, stableUntil: Timestamp, wasTakenBack: Bool = false) {
        self.isEarlier = isEarlier
        self.stableUntil = stableUntil
        self.wasTakenBack = wasTakenBack
    }
}
