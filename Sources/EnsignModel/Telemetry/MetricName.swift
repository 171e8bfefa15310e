/// What can be measured on an agent's runs (docs/telemetry.md, "Metrics").
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

    /// What the names of metrics of Prometheus begin with.
    package static let prometheusPrefix = "prometheus:"
    /// What the names of an evaluator's scores begin with.
    package static let evaluationPrefix = "evaluation:"

    /// The longest name, prefix included.
    package static let maxBytes = 320

    /// The names that stand for themselves.
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
    /// Which way is better.
    package enum Better: Sendable, Hashable {
        case high, low
        /// Whoever writes the metric must say so.
        case unknown
    }

    package var better: Better {
        switch self {
        case .success, .evaluation: .high
        case .cost, .tokens, .latency, .steps, .toolErrors, .deniedCalls: .low
        case .prometheus: .unknown
        }
    }

    /// The kinds under which it can be judged: those of which there are samples, and which do not turn the answer round.
    /// To the judge a large size is a bad one, so that what is better when high can be a rate alone.
    package var kinds: [Analysis.Kind] {
        switch self {
        case .success, .evaluation: [.rate]
        case .cost, .tokens, .latency, .steps: [.distribution, .count]
        case .toolErrors, .deniedCalls, .prometheus: [.rate, .distribution, .count]
        }
    }

    /// What `good` is where a manifest does not say it; nil where low is good, or nobody knows.
    package func standardGood(_ kind: Analysis.Kind) -> Bool? { kind == .rate && better == .high ? true : nil }
}
