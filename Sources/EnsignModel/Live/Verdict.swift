/// What the judge says about a candidate, or about one of its metrics.
package enum Verdict: String, Sendable, CaseIterable {
    /// No worse than the stable version by the margin or more.
    case pass
    /// Worse than the stable version.
    case fail
    /// Not enough evidence for either yet.
    case inconclusive
    /// Nothing was measured on one of the two versions. Never a pass.
    case noData = "no-data"
    /// The samples could not be read. Reported by the reader, never by the judge.
    case error
    /// The rollout has no analysis: time alone decides. Reported by the caller, never by the judge.
    case notAnalysed = "not-analysed"
}

/// Which of the two versions a sample was measured on.
package enum Variant: String, Sendable, CaseIterable {
    case stable, canary
}
