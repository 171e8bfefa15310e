package import EnsignJudge
package import EnsignModel

/// The inputs of rollouts besides git and the ledger: the time, the operator, the evidence.
package struct RolloutContext {
    package var now: Timestamp
    /// By how many seconds the clock was set since the last run, forwards if positive; nil when it was not.
    package var clockStep: Int64?
    /// The desired commit, and when it was made.
    package var source: ObjectID
    package var wanted: Timestamp
    /// In seconds.
    package var keepFor: Int64
    package var concurrentRollouts: Int64?
    package var request: OperatorRequest?
    /// Compiles another version of an agent under the permissions desired now; nil when that is impossible.
    package var compile: (AgentID, AgentVersion) throws -> CompiledBundle?
    /// What the last accepted commit asks of an agent; nil when it asks nothing, or cannot be compiled any more.
    package var asked: (AgentID) throws -> CompiledBundle? = { _ in nil }
    /// A bundle with only those permissions that another one has too.
    package var restrict: (Bundle, Bundle) throws -> CompiledBundle
    /// What versions that come in must have shown; nil for nothing.
    package var promotion: PromotionRule?
    /// The same by another commit.
    package var promotionRule: (ObjectID) throws -> PromotionRule? = { _ in nil }
    /// What is known of an artifact of an agent in the environment that it comes from.
    package var proven: (PromotionRule, AgentID, VersionIdentity) throws -> SourceRecord = { _, _, _ in
        .unknown("nothing is known of it")
    }
    package var verdict: (AgentID, Canary) throws -> CanaryVerdict

    package init(
        now: Timestamp,
        clockStep: Int64? = nil,
        source: ObjectID = .zero,
        wanted: Timestamp? = nil,
        keepFor: Int64 = 7 * 86_400,
        concurrentRollouts: Int64? = nil,
        request: OperatorRequest? = nil,
        compile: @escaping (AgentID, AgentVersion) throws -> CompiledBundle?,
        restrict: @escaping (Bundle, Bundle) throws -> CompiledBundle,
        verdict: @escaping (AgentID, Canary) throws -> CanaryVerdict = { _, canary in
            CanaryVerdict(canary.analysis == nil ? .notAnalysed : .noData)
        }
    ) {
        self.now = now
        self.clockStep = clockStep
        self.source = source
        self.wanted = wanted ?? now
        self.keepFor = keepFor
        self.concurrentRollouts = concurrentRollouts
        self.request = request
        self.compile = compile
        self.restrict = restrict
        self.verdict = verdict
    }
}
