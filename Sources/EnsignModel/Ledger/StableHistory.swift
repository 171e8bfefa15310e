/// What the ledger says of a digest's time as the stable one.
package struct StableHistory: Sendable, Hashable {
    /// Whether it first became stable before the present one first did.
    package var isEarlier: Bool
    /// When it was last replaced.
    package var stableUntil: Timestamp
    /// Whether it was last left by going back: somebody took it away, so it is not known to be good.
    package var wasTakenBack: Bool

    package init(isEarlier: Bool, stableUntil: Timestamp, wasTakenBack: Bool = false) {
        self.isEarlier = isEarlier
        self.stableUntil = stableUntil
        self.wasTakenBack = wasTakenBack
    }
}
