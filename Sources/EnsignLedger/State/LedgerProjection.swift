package import EnsignModel

/// Something that follows only from the entries of a ledger: which bundles are out of use, what was stable when, which
/// drifts of behaviour still hold. One walk makes it, from the newest entry back.
package protocol LedgerWalk {
    /// Starts with nothing.
    init(covering: CoveredEntry)

    /// Takes an entry that is older than those before it.
    mutating func take(_ entry: RecordedEntry, _ ledger: Ledger) throws

    /// Called after the last entry.
    mutating func end()
}

/// A walk that goes on from what an earlier one came to. If the ledger lacks the entry up to which that went, because it
/// was replaced, the walk continues to the beginning and uses nothing old.
package protocol LedgerProjection: LedgerWalk {
    /// The newest entry that it covers.
    var covered: CoveredEntry { get }

    /// Takes what was known about all entries that are older still.
    mutating func take(rest: Self)
}

extension LedgerWalk {
    /// What all entries come to, from the newest one on.
    package static func all(_ tip: RecordedEntry, of ledger: Ledger) throws -> Self {
        var result = Self(covering: CoveredEntry(tip))
        try ledger.walk(from: tip) { entry in
            try result.take(entry, ledger)
            return true
        }
        result.end()
        return result
    }

    package mutating func end() {}
}

/// An entry that a projection covers, with all before it.
package struct CoveredEntry: Sendable, Hashable {
    package var sequence: Int64
    package var commit: ObjectID

    package init(sequence: Int64, commit: ObjectID) {
        self.sequence = sequence
        self.commit = commit
    }

    package init(_ entry: RecordedEntry) {
        self.init(sequence: entry.entry.sequence, commit: entry.commit)
    }

    package init?(_ contents: StateContents) {
        guard let sequence = contents["seq"]?.int, let commit = contents["commit"]?.string.flatMap({ ObjectID($0) })
        else { return nil }
        self.init(sequence: sequence, commit: commit)
    }
}

extension LedgerProjection {
    /// The projection up to an entry.
    ///
    /// - Parameter known: The result of an earlier walk.
    package static func upTo(_ tip: RecordedEntry, of ledger: Ledger, known: Self? = nil) throws -> Self {
        if let known, known.covered == CoveredEntry(tip) { return known }
        var result = Self(covering: CoveredEntry(tip))
        try ledger.walk(from: tip) { entry in
            if let known, known.covered == CoveredEntry(entry) {
                result.take(rest: known)
                return false
            }
            try result.take(entry, ledger)
            return true
        }
        result.end()
        return result
    }
}

extension LedgerProjection where Self: StateValue {
    /// The projection up to an entry, from the stored state and the entries since. Writes nothing.
    package static func upTo(_ tip: RecordedEntry, of ledger: Ledger, keptIn file: StateFile<Self>) throws -> Self {
        try upTo(tip, of: ledger, known: file.read())
    }
}
