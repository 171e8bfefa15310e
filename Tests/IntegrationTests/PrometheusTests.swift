import EnsignTestSupport
import Foundation
import Testing

/// A Prometheus of Debian's, unpacked by `make test`, that scrapes what a test writes into a file.
private final class PrometheusServer {
    let base: String
    private let scratch: ScratchDirectory
    private let exporter: Background
    private var server: Background?
    private let port: Int

    /// Whether somebody waits for what never comes.
    var isAsked: Bool { exporter.output.contains("asked") }

    /// Nil when there is no such program.
    static var program: String? {
        let places = ["\(Host.package)/.build/prometheus/usr/bin/prometheus", "/usr/bin/prometheus"]
        return places.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// - Parameter runs: Whether there is a Prometheus beside what is scraped.
    init(runs: Bool = true) throws {
        scratch = try ScratchDirectory()
        // Serves the file, and under /silent nothing, for as long as anyone waits.
        try scratch.write(
            "exporter.py",
            """
            import http.server, time
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    if self.path.startswith("/silent"):
                        print("asked", flush=True)
                        time.sleep(60)
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(open("metrics", "rb").read())
                def log_message(self, *arguments): pass
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            print(server.server_port, flush=True)
            server.serve_forever()
            """
        )
        try scratch.write("metrics", "")
        exporter = try Background(
            "/usr/bin/env",
            ["python3", "exporter.py"],
            in: scratch.path,
            log: "\(scratch.path)/exporter.log"
        )
        let log = exporter
        eventually(within: .seconds(10), log.output) { log.output.hasSuffix("\n") }
        let target = try #require(Int(log.output.trimmingCharacters(in: .newlines)))
        silent = "http://127.0.0.1:\(target)/silent"
        port = try Self.freePort()
        base = "http://127.0.0.1:\(port)"
        try scratch.write(
            "prometheus.yml",
            """
            global: {scrape_interval: 200ms, scrape_timeout: 200ms}
            scrape_configs: [{job_name: test, static_configs: [{targets: ["127.0.0.1:\(target)"]}]}]

            """
        )
        if runs { try start() }
    }

    /// A server that takes connections and says nothing.
    let silent: String

    /// What is measured from now on, by version.
    func measure(_ values: [String: Double]) throws {
        let text = values.map { "queue_age{version=\"\($0.key)\"} \($0.value)\n" }.joined()
        try text.write(toFile: "\(scratch.path)/metrics", atomically: true, encoding: .utf8)
    }

    func start() throws {
        server = try Background(
            try #require(Self.program),
            [
                "--config.file=\(scratch.path)/prometheus.yml", "--storage.tsdb.path=\(scratch.path)/data",
                "--web.listen-address=127.0.0.1:\(port)", "--log.level=error",
            ],
            in: scratch.path,
            log: "\(scratch.path)/server.log"
        )
    }

    func stop() throws {
        _ = try server?.stop()
        server = nil
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

/// Canaries that are judged by what a Prometheus says of both versions.
@Suite("Canaries judged by Prometheus")
struct PrometheusTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"
    private let agent = "support/refund-triage"

    /// A host whose prod rolls out in two steps, judged by the age of a queue.
    private func host(confidence: Double = 0.9) throws -> Host {
        let host = try Host()
        let metric =
            "{name: \"prometheus:queue\", kind: rate, good: false, margin: 0.5, step: 1s, "
            + "query: \"max by (version) (queue_age) > bool 30\"}"
        let push = try host.push(
            "environments/prod/environment.yaml",
            "spec:",
            """
            spec:
              rollout:
                canary:
                  steps: [{weight: 20, hold: 1s}, {weight: 50, hold: 1s}]
                  analysis: {metrics: [\(metric)], confidence: \(confidence)}
            """
        )
        #expect(push.status == 0, "\(push.errors)")
        return host
    }

    private func weights(_ host: Host) throws -> [String] {
        let routes = try host.liveJSON("agents/\(agent).json")["routes"] as? [[String: Any]]
        return try #require(routes).map { "\($0["version"] ?? "") \($0["weight"] ?? "")" }
    }

    private func status(_ host: Host) throws -> String {
        try host.ensign("rollout", "status", agent, "--env", "prod").output
    }

    private func shown(_ host: Host) -> String { (try? status(host)) ?? "" }

    /// Samples of the candidate that were counted.
    private func counted(_ host: Host) throws -> Int {
        let text = try host.ensign("evidence", agent, "--env", "prod", "--output", "json").output
        let value = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        let canary = value["canary"] as? [String: Any]
        let metrics = (canary?["analysis"] as? [String: Any])?["metrics"] as? [String: [String: Any]]
        return (metrics?["prometheus:queue"]?["samples"] as? [String: Int])?["canary"] ?? 0
    }

    @Test(
        "watch takes a bad candidate back, and the record has the numbers; beside telemetry, and without any",
        .enabled(if: PrometheusServer.program != nil),
        arguments: [true, false]
    )
    func bad(hasTelemetry: Bool) throws {
        let server = try PrometheusServer()
        try server.measure(["1.5.0": 90, "1.4.0": 3, "1.3.0": 90])
        let host = try host()
        try host.hostGit("config", "ensign.prod.prometheus", server.base)
        if hasTelemetry { try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry") }
        let watch = try Background(
            Host.ensign,
            ["watch", "--env", "prod"],
            in: host.bare,
            log: "\(host.scratch.path)/watch.log"
        )
        // Hook and watch race for it.
        #expect(try host.push(deployment, "version: 1.4.0", "version: 1.5.0").status == 0)
        try eventually(within: .seconds(10), watch.output) { try weights(host).count == 2 }
        try eventually(within: .seconds(40), "\(watch.output)\(shown(host))") {
            try weights(host) == ["1.4.0 100"]
        }
        #expect(try watch.stop() == 0)
        #expect(watch.output.contains("rolled back 1.5.0 -> 1.4.0"), "\(watch.output)")
        let entry = try host.hostGit("show", "refs/ensign/ledger/prod:entry.json")
        #expect(entry.contains("\"verdict\":\"fail\""))
        #expect(entry.contains("prometheus:queue: 100.0 % against 0.0 %"), "\(entry)")
        try host.expectSound()
    }

    @Test(
        "A good candidate completes; while the server is away the weight stays, status says why, and nothing is lost",
        .enabled(if: PrometheusServer.program != nil),
        arguments: [true, false]
    )
    func good(hasTelemetry: Bool) throws {
        let server = try PrometheusServer()
        try server.measure(["1.5.0": 5, "1.4.0": 3])
        let host = try host(confidence: 0.999)
        if hasTelemetry { try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry") }
        // Not set: the push says so, and so does status.
        let push = try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        #expect(push.errors.contains("ensign.prod.prometheus is not set"), "\(push.errors)")
        let unset = try status(host)
        #expect(unset.contains("verdict    error"), "\(unset)")
        #expect(unset.contains("ensign.prod.prometheus is not set: git config ensign.prod.prometheus URL"), "\(unset)")

        try host.hostGit("config", "ensign.prod.prometheus", server.base)
        try eventually(within: .seconds(30), shown(host)) {
            try host.ensign("reconcile", "--env", "prod")
            return try counted(host) > 0
        }
        #expect(!(try status(host)).contains("verdict    error"))
        try server.stop()
        var held = CommandResult(status: 0, output: "", errors: "")
        try eventually(within: .seconds(10), "\(held.output)\(shown(host))") {
            held = try host.ensign("reconcile", "--env", "prod")
            return try status(host).contains("verdict    error")
        }
        let before = (weights: try weights(host), counted: try counted(host))
        Thread.sleep(forTimeInterval: 1.5)
        held = try host.ensign("reconcile", "--env", "prod")
        #expect(held.status == 0, "\(held.errors)")
        #expect(held.output.contains("cannot be read") || held.errors.contains("cannot be read"), "\(held)")
        #expect(try status(host).contains("prometheus:queue: Prometheus: the connection was refused"))
        #expect(try weights(host) == before.weights)
        #expect(before.weights.count == 2)
        #expect(try counted(host) == before.counted)

        try server.start()
        try eventually(within: .seconds(40), shown(host)) {
            try host.ensign("reconcile", "--env", "prod")
            return try weights(host) == ["1.5.0 100"]
        }
        let log = try host.hostGit("show", "refs/ensign/ledger/prod:entry.json")
        #expect(log.contains("\"verdict\":\"pass\""), "\(log)")
        try host.expectSound()
    }

    @Test("A server that says nothing delays neither a push, nor watch, nor its end", .timeLimit(.minutes(2)))
    func silent() throws {
        let server = try PrometheusServer(runs: false)
        let host = try host()
        try host.hostGit("config", "ensign.prod.prometheus", server.silent)
        #expect(try host.push(deployment, "version: 1.4.0", "version: 1.5.0").status == 0)
        #expect(try weights(host) == ["1.5.0 20", "1.4.0 80"])
        // The first point can be asked for two steps after the start.
        host.pass(seconds: 3)
        let start = ContinuousClock.now
        #expect(try host.push(deployment, "maximum: 100", "maximum: 50").status == 0)
        #expect(ContinuousClock.now - start < .seconds(8))
        // The evidence has begun anew with the narrower grant.
        host.pass(seconds: 3)
        let watch = try Background(
            Host.ensign,
            ["watch", "--env", "prod"],
            in: host.bare,
            log: "\(host.scratch.path)/watch.log",
            environment: host.time()
        )
        eventually(within: .seconds(10), watch.output) { server.isAsked }
        // A commit that no hook sees.
        try host.edit(deployment, "version: 1.5.0", "version: 1.4.0")
        try host.git("commit", "-q", "-a", "-m", "Back")
        try host.git("push", "-q", "origin", "main:refs/heads/aside")
        try host.hostGit("update-ref", "refs/heads/main", "refs/heads/aside")
        let time = try eventually(within: .seconds(8), watch.output) { try weights(host) == ["1.4.0 100"] }
        #expect(time < .seconds(5))
        let end = ContinuousClock.now
        #expect(try watch.stop() == 0)
        #expect(ContinuousClock.now - end < .seconds(5))
    }
}
