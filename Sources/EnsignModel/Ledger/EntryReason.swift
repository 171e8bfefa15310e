extension Entry {
    /// Why an entry was written: for what, and what a person let past a guard meanwhile.
    ///
    /// In JSON it is one text: `sync`, or `sync; allow-prune by ada@fleet-1: the old desk is closed`
    /// (docs/formats/ledger.md, "entry.json").
    package struct Reason: Sendable, Hashable {
        /// What an entry is for. Another version of Ensign may know more of them.
        package struct Purpose: RawRepresentable, Sendable, Hashable {
            package var rawValue: String

            package init(rawValue: String) { self.rawValue = rawValue }

            package static let genesis = Purpose(rawValue: "genesis")
            package static let sync = Purpose(rawValue: "sync")
            /// Files that differ from the record.
            package static let drift = Purpose(rawValue: "drift")
            /// Stable versions that are no longer what they were.
            package static let behaviour = Purpose(rawValue: "behaviour")
            package static let interrupted = Purpose(rawValue: "interrupted")
            package static let halt = Purpose(rawValue: "halt")
            /// Of a halt where rules alone were broken.
            package static let killSwitch = Purpose(rawValue: "kill-switch")
            package static let activityAfterHalt = Purpose(rawValue: "activity-after-halt")
            package static let invalid = Purpose(rawValue: "invalid")
            package static let pruneGuard = Purpose(rawValue: "prune-guard")
            package static let branchMissing = Purpose(rawValue: "branch-missing")
            package static let rotated = Purpose(rawValue: "rotated")
        }

        package let purpose: Purpose
        /// Who let what past which guard, in words; nil where nobody did.
        package let override: String?

        package init(_ purpose: Purpose, override: Override? = nil) {
            self.purpose = purpose
            self.override = override?.words
        }

        package init(text: String) {
            let end = text.firstRange(of: Self.separator)
            purpose = Purpose(rawValue: String(text[..<(end?.lowerBound ?? text.endIndex)]))
            override = end.map { String(text[$0.upperBound...]) }
        }

        package var text: String { override.map { purpose.rawValue + Self.separator + $0 } ?? purpose.rawValue }

        private static let separator = "; "
    }
}
