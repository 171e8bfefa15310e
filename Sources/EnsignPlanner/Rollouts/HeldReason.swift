/// Why an agent that git wants to change stays as it is: a state, not a failure.
package enum HeldReason: String, Sendable, CaseIterable {
    case quarantined, queued, paused, halted, inconclusive
    case noData = "no-data"
    /// Not proven in the environment that it comes from.
    case soaking = "soak"
    /// A metric of its analysis cannot be read.
    case error
}
