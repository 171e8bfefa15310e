import EnsignModel
import EnsignTestSupport
import Foundation
import Synchronization
import Testing

@testable import EnsignTelemetry

@Suite("Prometheus answers")
struct PrometheusAnswerTests {
    /// A client whose server answers from a list, and what it waited.
    private final class Server: Sendable {
        let answers: Mutex<[Result<HTTPResponse, HTTPFailure>]>
        let waits = Mutex<[Duration]>([])
        let urls = Mutex<[String]>([])

        init(_ answers: [Result<HTTPResponse, HTTPFailure>]) { self.answers = Mutex(answers) }

        func client(_ base: String = "http://prometheus:9090/") -> PrometheusClient {
            PrometheusClient(
                base: base,
                fetch: { url, _, _ in
                    self.urls.withLock { $0.append(url) }
                    return self.answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
                },
                sleep: { wait in self.waits.withLock { $0.append(wait) } },
                random: { 0.5 }
            )
        }
    }

    private static func vector(_ results: String) -> String {
        #"{"status":"success","data":{"resultType":"vector","result":[\#(results)]}}"#
    }

    private static func ok(_ body: String, status: Int = 200) -> Result<HTTPResponse, HTTPFailure> {
        .success(HTTPResponse(status: status, body: Array(body.utf8)))
    }

    private func code(_ outcome: PrometheusOutcome<PrometheusPoint>) -> PrometheusError.Code? {
        if case .error(let error) = outcome { error.code } else { nil }
    }

    private static let one = vector(#"{"metric":{},"value":[1790000000.5,"0.25"]}"#)

    @Test("One series is a value, none is no data")
    func values() {
        let point = PrometheusPoint(time: Moment(nanoseconds: 1_790_000_000_500_000_000), value: 0.25)
        #expect(Server([Self.ok(Self.one)]).client().query("x") == .value(point))
        #expect(Server([Self.ok(Self.vector(""))]).client().query("x") == .noData)
        let scalar = #"{"status":"success","data":{"resultType":"scalar","result":[1790000000.5,"0.25"]}}"#
        #expect(Server([Self.ok(scalar)]).client().query("x") == .value(point))
    }

    static let bad: [(answer: String, code: PrometheusError.Code)] = [
        ("", .garbage), ("<html>", .garbage), ("{}", .garbage), ("[1]", .garbage), (#"{"status":"success"}"#, .garbage),
        (#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, .garbage),
        (vector(#"{"value":[1,2]}"#), .garbage), (vector(#"{"value":["1","2"]}"#), .garbage),
        (vector(#"{"value":[1]}"#), .garbage), (vector(#"{"value":[1e300,"2"]}"#), .garbage), (vector("{}"), .garbage),
        (vector(#"{"value":[1,"two"]}"#), .garbage), (vector(#"{"value":[1,"NaN"]}"#), .notFinite),
        (vector(#"{"value":[1,"+Inf"]}"#), .notFinite),
        (vector(#"{"value":[1,"1"]},{"value":[1,"1"]}"#), .severalSeries),
    ]

    @Test("What is not a single number is an error, and not asked again", arguments: bad)
    func garbage(_ bad: (answer: String, code: PrometheusError.Code)) {
        let server = Server([Self.ok(bad.answer)])
        #expect(code(server.client().query("x")) == bad.code)
        #expect(server.urls.withLock { $0.count } == 1)
    }

    @Test("What may pass is tried again, waiting twice as long each time")
    func retries() {
        let down = Result<HTTPResponse, HTTPFailure>.failure(HTTPFailure(kind: .down, message: "refused"))
        let server = Server([down, Self.ok("busy", status: 503), Self.ok(Self.one)])
        #expect(code(server.client().query("x")) == nil)
        #expect(server.waits.withLock { $0 } == [.milliseconds(250), .milliseconds(500)])

        let dead = Server([down])
        guard case .error(let error) = dead.client().query("x") else {
            Issue.record("an error")
            return
        }
        #expect(error.code == .down)
        #expect(error.description == "Prometheus: refused (tried 3 times)")
    }

    @Test("A wrong query is not tried again, and Prometheus's own words are kept")
    func badQuery() {
        let server = Server([Self.ok(#"{"status":"error","error":"parse error:\nbad"}"#, status: 400)])
        guard case .error(let error) = server.client().query("x{") else {
            Issue.record("an error")
            return
        }
        #expect(error.description == "Prometheus: HTTP status 400: parse error:\\u{a}bad")
        #expect(server.urls.withLock { $0.count } == 1)
    }

    @Test("Whatever Prometheus says of an error is cut and safe to print")
    func hostileError() throws {
        let body: JSONValue = ["status": "error", "error": .string(Hostile.unsafeText + Hostile.letter)]
        let text = String(decoding: body.canonicalBytes(), as: UTF8.self)
        let server = Server([Self.ok(text, status: 400)])
        guard case .error(let error) = server.client().query("x{") else {
            Issue.record("an error")
            return
        }
        #expect(!error.description.unicodeScalars.contains(where: DisplayText.isUnsafe))
        #expect(error.description.utf8.count < 300)
    }

    @Test("Queries are escaped, times have milliseconds")
    func urls() {
        let server = Server([Self.ok(Self.one)])
        _ = server.client().query(#"sum(rate(x{a="b"}[5m]))"#, at: Moment(nanoseconds: 1_790_000_000_007_000_000))
        #expect(
            server.urls.withLock { $0 } == [
                "http://prometheus:9090/api/v1/query?query=sum%28rate%28x%7Ba%3D%22b%22%7D%5B5m%5D%29%29"
                    + "&timeout=10.000&time=1790000000.007"
            ]
        )
        for base in ["ftp://x", "prometheus:9090", "http://x/?a=1", ""] {
            #expect(code(server.client(base).query("x")) == .badURL)
        }
    }

    private func range(_ results: String) -> PrometheusOutcome<[PrometheusSeries]> {
        let body = #"{"status":"success","data":{"resultType":"matrix","result":[\#(results)]}}"#
        return Server([Self.ok(body)]).client().series("x", from: start, to: after(seconds: 60), step: .seconds(15))
    }

    @Test("A range gives its series with their labels, to the millisecond")
    func ranges() {
        let two = #"{"metric":{"version":"1.5.0"},"values":[[1790000000.123,"2"],[1790000015.123,"+Inf"]]},"#
        #expect(
            range(two + #"{"metric":{},"values":[]}"#)
                == .value([
                    PrometheusSeries(
                        labels: ["version": "1.5.0"],
                        points: [
                            PrometheusPoint(time: Moment(nanoseconds: 1_790_000_000_123_000_000), value: 2),
                            PrometheusPoint(time: Moment(nanoseconds: 1_790_000_015_123_000_000), value: .infinity),
                        ]
                    ), PrometheusSeries(labels: [:], points: []),
                ])
        )
        #expect(range("") == .noData)
    }

    @Test("A range that is not a list of series, or too long a one, is an error")
    func badRanges() {
        func code(_ results: String) -> PrometheusError.Code? {
            if case .error(let error) = range(results) { error.code } else { nil }
        }
        let bad = [
            #"{"values":[]}"#, #"{"metric":{}}"#, #"{"metric":{"a":1},"values":[]}"#, #"{"metric":{},"values":[1]}"#,
            #"{"metric":{},"values":[[1,"x"]]}"#, #"{"metric":{},"values":[["1","1"]]}"#, "1", "null", "[]",
        ]
        for results in bad { #expect(code(results) == .garbage, "\(results)") }
        let one = #"{"metric":{},"values":[]}"#
        #expect(code(Array(repeating: one, count: 1_000).joined(separator: ",")) == nil)
        #expect(code(Array(repeating: one, count: 1_001).joined(separator: ",")) == .tooManySeries)
    }
}

/// A real server: Debian's package, unpacked by `make test` or found on PATH, and a small exporter beside it.
private final class RealPrometheus {
    let base: String
    private let server = Process()
    private let exporter = Process()
    private let scratch: ScratchDirectory

    /// Nil when there is no such program.
    static var program: String? {
        let places = ["\(packageRoot)/.build/prometheus/usr/bin/prometheus", "/usr/bin/prometheus"]
        return places.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    init(_ program: String) throws {
        scratch = try ScratchDirectory()
        // Answers /metrics with a gauge, a counter that grows, and two series of one name.
        try scratch.write(
            "exporter.py",
            """
            import http.server, sys, time
            start = time.time()
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    if self.path == "/slow/api/v1/query" or self.path.startswith("/slow"):
                        time.sleep(5)
                    broken = self.path.startswith("/broken")
                    if self.path.startswith("/big"):
                        self.send_response(200)
                        self.end_headers()
                        for _ in range(100): self.wfile.write(b" " * 1000000)
                        return
                    self.send_response(500 if broken else 200)
                    self.end_headers()
                    text = "nonsense" if broken or self.path.startswith("/garbage") else (
                        f"ensign_gauge 0.25\\nensign_total {int((time.time() - start) * 10)}\\n"
                        'ensign_pair{n="1"} 1\\nensign_pair{n="2"} 2\\nensign_nan NaN\\n')
                    self.wfile.write(text.encode())
                def log_message(self, *arguments): pass
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            print(server.server_port, flush=True)
            server.serve_forever()
            """
        )
        let pipe = Pipe()
        exporter.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        exporter.arguments = ["python3", "\(scratch.path)/exporter.py"]
        exporter.standardOutput = pipe
        try exporter.run()
        let line = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
        exporterPort = try #require(Int(line.trimmingCharacters(in: .whitespacesAndNewlines)))
        let port = try Self.freePort()
        base = "http://127.0.0.1:\(port)"
        try scratch.write(
            "prometheus.yml",
            """
            global: {scrape_interval: 200ms, scrape_timeout: 200ms}
            scrape_configs: [{job_name: test, static_configs: [{targets: ["127.0.0.1:\(exporterPort)"]}]}]

            """
        )
        server.executableURL = URL(fileURLWithPath: program)
        server.arguments = [
            "--config.file=\(scratch.path)/prometheus.yml", "--storage.tsdb.path=\(scratch.path)/data",
            "--web.listen-address=127.0.0.1:\(port)", "--log.level=error",
        ]
        server.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
        server.standardOutput = FileHandle.nullDevice
        server.standardError = FileHandle.nullDevice
        try server.run()
    }

    let exporterPort: Int

    deinit { stop() }

    func stop() {
        for process in [server, exporter] where process.isRunning {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
    }

    private static func freePort() throws -> Int {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = unsafe withUnsafeMutablePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        try #require(bound)
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

@Suite("A real Prometheus", .serialized)
struct RealPrometheusTests {
    @Test(
        "Instant and range queries, no data, errors, and a server that is gone",
        .enabled(if: RealPrometheus.program != nil)
    )
    func real() throws {
        let server = try RealPrometheus(try #require(RealPrometheus.program))
        defer { server.stop() }
        var policy = PrometheusClient.Policy()
        policy.timeout = .seconds(2)
        let client = PrometheusClient(base: server.base, policy: policy)

        // Up, and scraped for more than a second.
        let deadline = Date().addingTimeInterval(30)
        var samples = 0.0
        while samples < 8, Date() < deadline {
            if case .value(let point) = client.query("count_over_time(ensign_gauge[1m])") { samples = point.value }
            usleep(200_000)
        }
        guard case .value(let gauge) = client.query("ensign_gauge") else {
            Issue.record("\(client.query("ensign_gauge"))")
            return
        }
        #expect(gauge.value == 0.25)
        #expect(abs(Double(gauge.time.nanoseconds) / 1e9 - Date().timeIntervalSince1970) < 10)

        let now = Moment(nanoseconds: Int64(Date().timeIntervalSince1970 * 1e9))
        let range = client.series("ensign_total", from: now.advanced(milliseconds: -60_000), to: now, step: .seconds(1))
        guard case .value(let series) = range, let points = series.first?.points else {
            Issue.record("\(range)")
            return
        }
        #expect(series.count == 1)
        #expect(points.count >= 2)
        #expect(points.map(\.time) == points.map(\.time).sorted())
        #expect(points.map(\.value) == points.map(\.value).sorted())

        #expect(client.query("nothing_of_that_name") == .noData)
        #expect(code(client.query("ensign_pair")) == .severalSeries)
        #expect(code(client.query("ensign_nan")) == .notFinite)
        #expect(code(client.query("ensign_gauge / (ensign_gauge - ensign_gauge)")) == .notFinite)
        #expect(code(client.query("sum(")) == .refused)

        let exporter = "http://127.0.0.1:\(server.exporterPort)"
        policy.attempts = 2
        policy.timeout = .milliseconds(300)
        func fails(_ path: String) -> PrometheusError.Code? {
            code(PrometheusClient(base: exporter + path, policy: policy, sleep: { _ in }).query("x"))
        }
        #expect(fails("/slow") == .slow)
        #expect(fails("/broken") == .refused)
        #expect(fails("/garbage") == .garbage)
        #expect(fails("/big") == .tooLarge)
        server.stop()
        #expect(fails("/") == .down)
        #expect(code(PrometheusClient(base: server.base, policy: policy, sleep: { _ in }).query("x")) == .down)
    }

    private func code(_ outcome: PrometheusOutcome<PrometheusPoint>) -> PrometheusError.Code? {
        if case .error(let error) = outcome { error.code } else { nil }
    }
}
