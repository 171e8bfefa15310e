/// A time during which an agent's stable version had one artifact, nothing stopped it, and nobody took it back.
package struct StablePeriod: Sendable, Hashable {
    package var since: Timestamp
    /// When something else took its place in the ordinary way; nil while it is stable.
    package var until: Timestamp?
    /// The number of the entry with which it began.
    package var sequence: Int64

    package init(since: Timestamp, until: Timestamp?, sequence: Int64) {
        self.since = since
        self.until = until
        self.sequence = sequence
    }

    /// In seconds; none when the clock was set back meanwhile.
    package func length(at now: Timestamp) -> Int64 { max(0, (until ?? now).seconds(since: since)) }
}

/// What a ledger says of an artifact of an agent.
package struct StableRecord: Sendable, Hashable {
    /// The newest first. They end with what counts against the artifact, if anything does.
    package var periods: [StablePeriod]
    /// What ended the time before them, or keeps the artifact from counting now: a halt, a quarantine, a rollback.
    package var flaw: String?

    package init(periods: [StablePeriod], flaw: String?) {
        self.periods = periods
        self.flaw = flaw
    }
}
