/// Where decisions are written. Safe from any number of threads.
package protocol DecisionRecord: Sendable {
    /// Writes one line, durably enough to outlive this process; approvals also outlive the machine's power.
    ///
    /// - Returns: Its number, `seq`.
    /// - Throws: ``RecordFailure`` when it cannot be written: then nothing may be done that had to be written first.
    func append(_ decision: Decision) throws(RecordFailure) -> Int64
}

/// The decision log, approvals or pins cannot be written or read.
package struct RecordFailure: Error, Sendable, Hashable {
    /// One sentence for the operator, printable.
    package var message: String

    package init(_ message: String) { self.message = message }
}
