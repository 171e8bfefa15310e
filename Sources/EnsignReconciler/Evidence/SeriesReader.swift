import EnsignGit
package import EnsignHost
package import EnsignJudge
import EnsignLedger
import EnsignManifest
package import EnsignModel
import EnsignPlanner
import EnsignSystem
import EnsignTelemetry

/// What the canaries of an environment still need from Prometheus. Found out without the environment's lock: whoever
/// takes up the answers looks again at what was counted by then.
package struct OpenSeries {
    package var requests: [SeriesRequest] = []
    /// When there is something more to ask; nil when there is nothing.
    package var due: Moment?

    /// Costs a look at the ledger's tip when no rollout is under way.
    package init(_ site: Site, _ environment: String, _ store: EvidenceStore, now: Moment) throws {
        let tip = try site.ledger(environment).tip()
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        // Asked as the rules in force say; a new commit's are in force with the next reconcile.
        guard try recorded.waitsForTime(), let accepted = try site.acceptedCommit(environment, tip: tip) else { return }
        let tree = try site.repository.commit(accepted).tree
        let fleet = Fleet(snapshot: try site.snapshots(of: tree)(), today: now.timestamp.date)
        var evidence = try CanaryEvidence(recorded, environment, fleet, site)
        evidence.read(store.state)
        (requests, due) = evidence.open(now: now)
    }
}

/// Asks the operator's Prometheus. Blocks, but never for much longer than its limits.
package struct SeriesReader: Sendable {
    private let client: PrometheusClient
    private let isCancelled: @Sendable () -> Bool

    /// How long it goes on asking.
    private static let time = Duration.seconds(20)
    /// The most samples of one round.
    private static let maxSamples = 100_000

    /// Nil when no server is set.
    package init?(_ site: Site, _ environment: String, isCancelled: @escaping @Sendable () -> Bool = { false }) {
        guard let base = site.settings.prometheus(environment) else { return nil }
        self.init(
            client: PrometheusClient(base: base) { Curl.fetch($0, $1, $2, isCancelled: isCancelled) },
            isCancelled: isCancelled
        )
    }

    init(client: PrometheusClient, isCancelled: @escaping @Sendable () -> Bool = { false }) {
        self.client = client
        self.isCancelled = isCancelled
    }

    /// Asks, long stretches in pieces. What does not fit into the time is left to the next round.
    package func answers(to requests: [SeriesRequest]) -> [SeriesAnswer] {
        let deadline = ContinuousClock.now + Self.time
        var answers: [SeriesAnswer] = []
        var samples = 0
        for (index, first) in requests.enumerated() {
            var next: SeriesRequest? = first
            while let request = next {
                guard ContinuousClock.now < deadline, samples < Self.maxSamples else { return answers }
                let result = client.series(
                    request.query.text,
                    from: request.start,
                    to: request.end,
                    step: .milliseconds(request.query.step.milliseconds)
                )
                if isCancelled() { return answers }
                switch result {
                case .value(let series): answers.append(SeriesAnswer(request, request.read(series)))
                case .noData: answers.append(SeriesAnswer(request, .samples([])))
                case .error(let error):
                    answers.append(SeriesAnswer(request, .unreadable("\(error)")))
                    if error.isOfServer {
                        // It says the same to all others, after as long a wait.
                        return answers + requests[(index + 1)...].map { SeriesAnswer($0, .unreadable("\(error)")) }
                    }
                }
                next = nil
                if case .samples(let found)? = answers.last?.outcome {
                    samples += found.count
                    next = request.following
                }
            }
        }
        return answers
    }
}

extension PrometheusError {
    /// Whether no query would be answered now.
    fileprivate var isOfServer: Bool {
        switch code {
        case .down, .slow, .client, .badURL: true
        case .tooLarge, .refused, .garbage, .notFinite, .severalSeries, .tooManySeries: false
        }
    }
}
