import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignTelemetry
import Synchronization
import Testing

@testable import EnsignReconciler

@Suite("Asking Prometheus for a canary")
struct SeriesReaderTests {
    /// A server that answers by what is asked, and what it was asked.
    private final class Server: Sendable {
        private let asked = Mutex<[String]>([])
        let answer: @Sendable (String) -> Result<HTTPResponse, HTTPFailure>

        init(_ answer: @escaping @Sendable (String) -> Result<HTTPResponse, HTTPFailure>) { self.answer = answer }

        var queries: [String] { asked.withLock { $0 } }

        func answers(to requests: [SeriesRequest], isCancelled: @escaping @Sendable () -> Bool = { false })
            -> [SeriesAnswer]
        {
            let client = PrometheusClient(
                base: "http://prometheus",
                fetch: { url, _, _ in
                    self.asked.withLock { $0.append(url) }
                    return self.answer(url)
                },
                sleep: { _ in }
            )
            return SeriesReader(client: client, isCancelled: isCancelled).answers(to: requests)
        }
    }

    private static func matrix(_ series: String = "") -> Result<HTTPResponse, HTTPFailure> {
        let body = #"{"status":"success","data":{"resultType":"matrix","result":[\#(series)]}}"#
        return .success(HTTPResponse(status: 200, body: Array(body.utf8)))
    }

    /// Requests of two metrics, `a` and `b`, so many seconds after a canary began.
    private func requests(after seconds: Int64) throws -> [SeriesRequest] {
        let start = try #require(Timestamp("2026-11-21T09:00:00Z"))
        let agent = try #require(AgentID("support/triage"))
        func side(_ version: String, _ digit: Character) throws -> Change.Side {
            let digest = Digest(hex: String(repeating: digit, count: 64))
            return Change.Side(version: try #require(AgentVersion(version)), digest: try #require(digest))
        }
        let step = try #require(TimeSpan("1s"))
        let metrics = ["a", "b"].map { name in
            Analysis.Metric(
                name: "prometheus:\(name)",
                kind: .count,
                good: nil,
                unit: nil,
                margin: .absolute(1),
                query: PrometheusQuery(text: name, step: step)
            )
        }
        let analysis = Analysis(metrics: metrics, confidence: 0.95, deadline: nil, onInconclusive: .hold)
        let new = try side("1.5.0", "c")
        let candidate = Candidate(side: new, artifact: new.digest, kind: .behaviour, source: .zero, wanted: start)
        let progress = CanaryProgress(step: 0, weight: 5, stepSince: start, started: start, evidenceSince: start)
        let state = AgentState(stable: try side("1.4.0", "5"), rollout: .canary(candidate, progress))
        let canary = try #require(WatchedCanary(agent, state, Canary(steps: [], analysis: analysis)))
        let now = Moment(start).advanced(milliseconds: seconds * 1_000)
        return CanaryAnalyst(json: nil, canaries: [canary]).requests([canary], now: now)
    }

    private func reason(_ answer: SeriesAnswer) -> String? {
        if case .unreadable(let why) = answer.outcome { why } else { nil }
    }

    @Test("A long stretch is asked for in pieces, metric by metric")
    func pieces() throws {
        let server = Server { _ in Self.matrix() }
        let answers = server.answers(to: try requests(after: 4_501))
        #expect(
            answers.map { "\($0.request.metric) \($0.request.taken + 1)-\($0.request.last)" } == [
                "prometheus:a 1-2000", "prometheus:a 2001-4000", "prometheus:a 4001-4500",
                "prometheus:b 1-2000", "prometheus:b 2001-4000", "prometheus:b 4001-4500",
            ]
        )
        #expect(answers.allSatisfy { $0.outcome == .samples([]) })
        #expect(server.queries.count == 6)
        #expect(server.queries[2].hasSuffix("&step=1.000&timeout=10.000"))
    }

    @Test("A wrong query is an error of its metric alone, and what comes behind it is not asked for")
    func wrongQuery() throws {
        let server = Server { url in
            url.contains("query=a&")
                ? .success(HTTPResponse(status: 400, body: Array(#"{"error":"parse error"}"#.utf8)))
                : Self.matrix(#"{"metric":{"version":"1.5.0"},"values":[]}"#)
        }
        let answers = server.answers(to: try requests(after: 4_501))
        #expect(answers.map(\.request.metric) == ["prometheus:a"] + Array(repeating: "prometheus:b", count: 3))
        #expect(reason(answers[0]) == "Prometheus: HTTP status 400: parse error")
        #expect(reason(answers[3]) == nil)
    }

    @Test("A server that is away is waited for once: all other metrics have the same answer")
    func down() throws {
        let server = Server { _ in .failure(HTTPFailure(kind: .slow, message: "no answer in time")) }
        let answers = server.answers(to: try requests(after: 4_501))
        #expect(answers.map(\.request.metric) == ["prometheus:a", "prometheus:b"])
        #expect(answers.map(reason) == Array(repeating: "Prometheus: no answer in time (tried 3 times)", count: 2))
        #expect(server.queries.count == 3)
    }

    @Test("What was cut short is not an answer")
    func cancelled() throws {
        let server = Server { _ in .failure(HTTPFailure(kind: .slow, message: "no answer in time")) }
        #expect(server.answers(to: try requests(after: 4_501), isCancelled: { true }) == [])
    }
}
