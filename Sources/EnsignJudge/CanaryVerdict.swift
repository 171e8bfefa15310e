package import EnsignModel

/// What the analysis of a canary came to.
package struct CanaryVerdict: Sendable, Hashable {
    package enum Outcome: String, Sendable, CaseIterable {
        case pass, fail, inconclusive
        case noData = "no-data"
        /// The metrics could not be read.
        case error
        /// The rollout has no analysis: time alone decides.
        case notAnalysed = "not-analysed"
    }

    package var outcome: Outcome
    /// The numbers behind it, for the ledger; bounded.
    package var evidence: JSONValue
    /// The stable version's artifact, which decides what a failure quarantines.
    package var stableArtifact: Digest?

    package init(_ outcome: Outcome, evidence: JSONValue = .null, stableArtifact: Digest? = nil) {
        self.outcome = outcome
        self.evidence = evidence
        self.stableArtifact = stableArtifact
    }

    /// Why a candidate failed, in a line: what each metric that failed came to. The whole stands in the evidence.
    package var failure: String {
        let metrics = evidence["metrics"]?.object?.filter { $0.value["verdict"]?.string == "fail" } ?? []
        let values = metrics.compactMap { metric -> String? in
            guard let text = metric.value["explanation"]?.string else { return nil }
            return text.prefix(upTo: text.firstRange(of: ", a change")?.lowerBound ?? text.endIndex).cut(utf8: 120)
        }
        return values.isEmpty
            ? "the analysis failed" : "the analysis failed: " + values.prefix(3).joined(separator: "; ")
    }
}
