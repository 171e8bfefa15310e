/// How a changed agent takes over from the stable one.
package enum Rollout: Sendable, Hashable {
    /// At once, for everyone.
    case immediate
    /// Step by step, judged on the way. Beside the agent: of a fleet, most share the environment's.
    indirect case canary(Canary)
}

/// Steps of a canary and what decides about it.
package struct Canary: Sendable, Hashable {
    package var steps: [Step]
    package var analysis: Analysis?

    package init(steps: [Step], analysis: Analysis?) {
        self.steps = steps
        self.analysis = analysis
    }

    /// One share of the sessions, held for some time.
    package struct Step: Sendable, Hashable {
        /// Per cent of the sessions that the candidate takes.
        package var weight: Int64
        package var hold: TimeSpan

        package init(weight: Int64, hold: TimeSpan) {
            self.weight = weight
            self.hold = hold
        }
    }
}

/// The metrics that judge a candidate against the stable version.
package struct Analysis: Sendable, Hashable {
    package var metrics: [Metric]
    /// Of the whole analysis, shared among its metrics; between 0.5 and 1.
    package var confidence: Double
    package var deadline: TimeSpan?
    package var onInconclusive: Inconclusive

    package init(metrics: [Metric], confidence: Double, deadline: TimeSpan?, onInconclusive: Inconclusive) {
        self.metrics = metrics
        self.confidence = confidence
        self.deadline = deadline
        self.onInconclusive = onInconclusive
    }

    /// What happens when the deadline passes without a verdict.
    package enum Inconclusive: String, Sendable, CaseIterable {
        case hold, promote, abort
    }

    /// What a metric measures.
    package enum Kind: String, Sendable, CaseIterable {
        case rate, distribution, count
    }

    /// One thing that is measured for both versions.
    package struct Metric: Sendable, Hashable {
        package var name: String
        package var kind: Kind
        /// Rates: whether a high rate is good.
        package var good: Bool?
        package var unit: String?
        package var margin: Margin
        /// Whether the stable version is judged too, against its own past.
        package var guarding: Guarding
        /// Where the samples come from, for metrics of Prometheus; nil for those of telemetry.
        package var query: PrometheusQuery?

        package init(
            name: String,
            kind: Kind,
            good: Bool?,
            unit: String?,
            margin: Margin,
            guarding: Guarding = .off,
            query: PrometheusQuery? = nil
        ) {
            self.name = name
            self.kind = kind
            self.good = good
            self.unit = unit
            self.margin = margin
            self.guarding = guarding
            self.query = query
        }
    }

    /// What happens when the stable version drifts from its behaviour when it became stable.
    package enum Guarding: Sendable, Hashable {
        /// Drift is not checked.
        case off
        /// The drift is recorded and reported.
        case report
        /// The agent is halted as well.
        case halt
    }

    /// How much worse still counts as "no worse".
    package enum Margin: Sendable, Hashable {
        /// In the metric's own unit.
        case absolute(Double)
        /// A share of the stable version's value: 0.2 is 20 %.
        case relative(Double)
    }
}

/// One rule of the kill switch.
package enum KillRule: Sendable, Hashable {
    /// US dollars within a window.
    case spend(Double, within: TimeSpan)
    /// The same tool with the same arguments, within a window.
    case repeatedCall(Int64, within: TimeSpan)
    case deniedCalls(Int64, within: TimeSpan)
    /// Tool calls in one run.
    case steps(Int64)
    /// Calls of a tool that was not granted.
    case unknownTool(Int64)

    /// The most calls that a rule may wait for: the times of no more are kept, so one with a higher number would never halt
    /// anything.
    package static let mostCalls: Int64 = 65_536

    /// The field that manifests write it in.
    package var name: String {
        switch self {
        case .spend: "spend"
        case .repeatedCall: "repeatedCall"
        case .deniedCalls: "deniedCalls"
        case .steps: "steps"
        case .unknownTool: "unknownTool"
        }
    }
}
