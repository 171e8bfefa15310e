package import EnsignModel

/// Whether the runs of a version show calls at all.
///
/// A version that was granted operations and whose runs show no call at all says nothing about calls: most likely
/// nobody writes `execute_tool` telemetry, and "no errors" would be an empty sentence. Metrics of calls count from the
/// run after the first one with a call. Later runs are a fair picture of the version; earlier ones, selected for having
/// no calls, are not.
package struct CallWitness: Sendable, Hashable {
    /// How many operations the version is granted; nil if unknown.
    package var granted: Int?
    /// The number of runs seen.
    package private(set) var runs: Int64 = 0
    package private(set) var hasCalled = false
    private var firstRun: RunTimes?

    private struct RunTimes: Sendable, Hashable {
        var started: Moment
        var ended: Moment
    }

    package init(granted: Int? = nil) { self.granted = granted }

    /// Takes a sample of the version.
    ///
    /// - Returns: Whether it says anything: all do, except samples of calls of a version that shows none.
    package mutating func admits(_ sample: Sample) -> Bool {
        let times = RunTimes(started: sample.started, ended: sample.time)
        if sample.metric == .steps {
            runs = runs == .max ? runs : runs + 1
            if !hasCalled, sample.value > 0 { (hasCalled, firstRun) = (true, times) }
        }
        guard sample.metric.isOfCalls, granted ?? 0 > 0 else { return true }
        if firstRun == times { return false }
        if hasCalled { firstRun = nil }
        return hasCalled
    }

    /// Why metrics of calls say nothing yet; nil when they do.
    ///
    /// - Parameter version: Its name for people, such as `the canary`.
    package func silence(of version: String) -> String? {
        guard let granted, granted > 0, runs > 0, !hasCalled else { return nil }
        return "\(counted(runs, "run")) of \(version) and not one call, although \(granted) "
            + "\(granted == 1 ? "operation is" : "operations are") granted: is execute_tool telemetry written?"
    }

    package var json: JSONValue { [.integer(runs), .bool(hasCalled)] }

    /// - Parameter granted: The present number.
    package init?(json: JSONValue, granted: Int?) {
        guard let runs = json[0]?.int, runs >= 0, let hasCalled = json[1]?.bool else { return nil }
        (self.granted, self.runs, self.hasCalled) = (granted, runs, hasCalled)
    }
}

extension MetricName {
    /// Whether it is read from `execute_tool` spans.
    package var isOfCalls: Bool {
        switch self {
        case .steps, .toolErrors, .deniedCalls: true
        case .success, .cost, .tokens, .latency, .evaluation, .prometheus: false
        }
    }
}
