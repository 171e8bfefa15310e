/// What can be measured in an agent's runs (docs/telemetry.md, "Metrics").
package enum MetricName: Sendable, Hashable, CustomStringConvertible {
    /// 1 for a run whose status is not ERROR, else 0.
    case success
    /// US dollars of a run.
    case cost
    /// Tokens of a run, input and output.
    case tokens
    /// Seconds from a run's start to its end.
    case latency
    /// Calls in a run.
    case steps
    /// Calls in a run that failed, denied ones not included.
    case toolErrors
    /// Calls in a run that were denied.
    case deniedCalls
    /// The score that an evaluator gave a run.
    case evaluation(String)
    /// What a query to Prometheus returns.
    case prometheus(String)

    /// The prefix of the names of Prometheus metrics.
    package static let prometheusPrefix = "prometheus:"
    /// The prefix of the names of evaluators' scores.
    package static let evaluationPrefix = "evaluation:"

    /// The longest name, prefix included.
    package static let maxBytes = 320

    /// The built-in names, without a prefix.
    package static let builtIn: [MetricName] = [
        .success, .cost, .tokens, .latency, .steps, .toolErrors, .deniedCalls,
    ]

    /// Parses a name as manifests write it; nil for anything else.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= Self.maxBytes else { return nil }
        switch text {
        case "success": self = .success
        case "cost": self = .cost
        case "tokens": self = .tokens
        case "latency": self = .latency
        case "steps": self = .steps
        case "tool-errors": self = .toolErrors
        case "denied-calls": self = .deniedCalls
        default:
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[1].isEmpty else { return nil }
            switch parts[0] {
            case "evaluation": self = .evaluation(String(parts[1]))
            case "prometheus": self = .prometheus(String(parts[1]))
            default: return nil
            }
        }
    }

    package var description: String {
        switch self {
        case .success: "success"
        case .cost: "cost"
        case .tokens: "tokens"
        case .latency: "latency"
        case .steps: "steps"
        case .toolErrors: "tool-errors"
        case .deniedCalls: "denied-calls"
        case .evaluation(let name): "evaluation:\(name)"
        case .prometheus(let name): "prometheus:\(name)"
        }
    }
}

extension MetricName {
    /// Which direction is better.
    package enum Better: Sendable, Hashable {
        case high, low
        /// The author of the metric must say so.
        case unknown
    }

    package var better: Better {
        switch self {
        case .success, .evaluation: .high
        case .cost, .tokens, .latency, .steps, .toolErrors, .deniedCalls: .low
        case .prometheus: .unknown
        }
    }

    /// The kinds under which it can be judged: those that have samples and do not reverse the answer. To the judge a
    /// large size is bad, so a metric that is better when high can only be a rate.
    package var kinds: [Analysis.Kind] {
        switch self {
        case .success, .evaluation: [.rate]
        case .cost, .tokens, .latency, .steps: [.distribution, .count]
        case .toolErrors, .deniedCalls, .prometheus: [.rate, .distribution, .count]
        }
    }

    /// The value of `good` if a manifest does not set it; nil if low is good, or nobody knows.
    package func standardGood(_ kind: Analysis.Kind) -> Bool? { kind == .rate && better == .high ? true : nil }
}
