package import EnsignModel

/// Something that follows from the entries of a ledger alone: which bundles are out of use, what was stable when, which
/// drifts of behaviour still hold.
///
/// One walk makes it, from the newest entry back to what was known before. Where the ledger does not have the entry that
/// was known, because it was replaced, the walk goes on to its beginning and nothing of the old is used.
package protocol LedgerProjection {
    /// The newest entry that it covers.
    var covered: CoveredEntry { get }

    /// Nothing yet.
    init(covering: CoveredEntry)

    /// Takes up an entry that is older than those before it.
    mutating func take(_ entry: RecordedEntry, _ ledger: Ledger) throws

    /// Takes up what was known of all entries that are older still.
    mutating func take(rest: Self)

    /// Every entry was taken up.
    mutating func end()
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
    /// - Parameter known: What an earlier walk came to.
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

    package mutating func end() {}
}

extension LedgerProjection where Self: StateValue {
    /// The projection up to an entry, from what is kept and what the ledger has had since. Nothing is written.
    package static func upTo(_ tip: RecordedEntry, of ledger: Ledger, keptIn file: StateFile<Self>) throws -> Self {
        try upTo(tip, of: ledger, known: file.read())
    }
}
