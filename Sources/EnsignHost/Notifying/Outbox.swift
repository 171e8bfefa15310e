package import EnsignLedger
package import EnsignModel

/// The entries for which `ensign.notify` must still run: `<git dir>/ensign/outbox/<env>`.
///
/// What to send is read from the ledger, starting after the newest entry that was looked at: an entry is in the outbox
/// as soon as it is in the ledger, whatever dies in between.
package struct Outbox: Sendable, Hashable {
    /// The newest entry that was looked at.
    var sequence: Int64
    /// Oldest first.
    package private(set) var pending: [Pending] = []
    /// How many were dropped, the oldest first, because too many waited.
    private(set) var dropped: Int64 = 0
    /// The command's last failure.
    private(set) var failure: String?
    /// What was last told about the forge.
    private(set) var forge = ForgeLetter()

    /// The most entries that wait.
    static let maxPending = 100

    /// One entry that waits.
    package struct Pending: Sendable, Hashable {
        package var sequence: Int64
        package var commit: ObjectID
        var attempts: Int64 = 0
        /// When it is tried again, in seconds since 1970.
        var due: Int64 = 0

        package init(sequence: Int64, commit: ObjectID, attempts: Int64 = 0, due: Int64 = 0) {
            self.sequence = sequence
            self.commit = commit
            self.attempts = attempts
            self.due = due
        }
    }

    /// What the operator was last told about the forge. It is told again when that changes.
    struct ForgeLetter: Sendable, Hashable {
        var told: Set<ForgeStatus.Trouble> = []
        var attempts: Int64 = 0
        /// When telling the news is tried again, in seconds since 1970.
        var due: Int64 = 0
    }

    package init(sequence: Int64) { self.sequence = sequence }

    // MARK: Changing

    /// Adds entries, newest first, as the ledger is walked.
    package mutating func add(_ found: [Pending], upTo newest: Int64) {
        pending += found.reversed()
        sequence = newest
        let excess = pending.count - Self.maxPending
        guard excess > 0 else { return }
        pending.removeFirst(excess)
        dropped = dropped.adding(saturating: Int64(excess))
    }

    mutating func delivered(_ item: Pending) {
        pending.removeAll { $0.sequence == item.sequence }
        dropped = 0
        if pending.isEmpty { failure = nil }
    }

    /// - Parameter now: Seconds since 1970.
    package mutating func failed(_ item: Pending, _ why: String, now: Int64) {
        failure = why.cut(utf8: 500)
        guard let index = pending.firstIndex(where: { $0.sequence == item.sequence }) else { return }
        pending[index].attempts = pending[index].attempts.adding(saturating: 1)
        pending[index].due = now.adding(saturating: Self.pause(after: pending[index].attempts))
    }

    mutating func told(_ troubles: Set<ForgeStatus.Trouble>) {
        forge = ForgeLetter(told: troubles)
        if pending.isEmpty { failure = nil }
    }

    /// - Parameter now: Seconds since 1970.
    mutating func failedToTell(_ why: String, now: Int64) {
        failure = why.cut(utf8: 500)
        forge.attempts = forge.attempts.adding(saturating: 1)
        forge.due = now.adding(saturating: Self.pause(after: forge.attempts))
    }

    /// 2 s, twice as long after each attempt, at most an hour.
    static func pause(after attempts: Int64) -> Int64 { min(2 << min(max(attempts, 1) - 1, 11), 3_600) }

    /// Seconds until the next attempt; nil when nothing waits.
    package func wait(now: Int64) -> Int64? {
        // A clock that was set back does not keep anything waiting for longer than a pause.
        pending.map { min(max(0, $0.due.subtracting(saturating: now)), 3_600) }.min()
    }

    /// What an operator should know, in a sentence; nil when nothing waits.
    package var note: String? {
        guard !pending.isEmpty || dropped > 0 else { return nil }
        var text = "notify: \(counted(pending.count, "entry waits", "entries wait"))"
        if dropped > 0 { text += ", \(dropped) older were dropped" }
        return text + (failure.map { "; the command failed: \($0)" } ?? "")
    }
}

extension Outbox: StateValue {
    package static let kind = StateKind("outbox/<env>", .memory, limit: 1 << 20, isDurable: true)

    package init?(_ contents: StateContents) {
        guard let sequence = contents["seq"]?.int, let items = contents["pending"]?.array else { return nil }
        self.init(sequence: sequence)
        dropped = contents["dropped"]?.int ?? 0
        failure = contents["failure"]?.string
        pending = items.compactMap { item in
            guard let sequence = item["seq"]?.int, let commit = item["commit"]?.string.flatMap({ ObjectID($0) })
            else { return nil }
            return Pending(
                sequence: sequence,
                commit: commit,
                attempts: max(0, item["attempts"]?.int ?? 0),
                due: item["due"]?.int ?? 0
            )
        }
        forge.told = Set(
            (contents["forge"]?["told"]?.array ?? []).compactMap { $0.string.flatMap(ForgeStatus.Trouble.init) }
        )
        forge.attempts = max(0, contents["forge"]?["attempts"]?.int ?? 0)
        forge.due = contents["forge"]?["due"]?.int ?? 0
    }

    package var contents: StateContents {
        StateContents([
            "seq": .integer(sequence), "dropped": .integer(dropped),
            "failure": failure.map { .string($0) } ?? .null,
            "forge": [
                "told": .array(forge.told.map(\.rawValue).sorted().map { .string($0) }),
                "attempts": .integer(forge.attempts), "due": .integer(forge.due),
            ],
            "pending": .array(
                pending.map {
                    [
                        "seq": .integer($0.sequence), "commit": .string($0.commit.description),
                        "attempts": .integer($0.attempts), "due": .integer($0.due),
                    ]
                }
            ),
        ])
    }
}
