package import EnsignModel

/// The result of a canary's analysis.
package struct CanaryVerdict: Sendable, Hashable {
    package var outcome: Verdict
    /// The numbers behind it; nil when nothing was examined.
    package var report: JudgeReport?
    /// What readers should know of the samples behind it, in sentences.
    package var notes: [String]
    /// The stable version's artifact, which decides what a failure quarantines.
    package var stableArtifact: Digest?

    package init(
        _ outcome: Verdict,
        report: JudgeReport? = nil,
        notes: [String] = [],
        stableArtifact: Digest? = nil
    ) {
        self.notes = notes
        self.outcome = outcome
        self.report = report
        self.stableArtifact = stableArtifact
    }

    /// Why a candidate failed, in a line.
    package var failure: String { report?.failure ?? "the analysis failed" }
}
