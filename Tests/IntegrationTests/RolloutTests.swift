import EnsignTestSupport
import Foundation
import Testing

/// A changed agent takes a few sessions first. Holds are seconds here; the planner's scenarios show what is decided
/// when.
@Suite struct RolloutTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"
    private let agent = "support/refund-triage"

    /// A host whose prod rolls out in two steps.
    private func host(_ rollout: String) throws -> Host {
        let host = try Host()
        let push = try host.push("environments/prod/environment.yaml", "spec:", "spec:\n  rollout: \(rollout)")
        #expect(push.status == 0, "\(push.errors)")
        return host
    }

    /// Hexadecimal digests of the route, the candidate first.
    private func digests(_ host: Host) throws -> [String] {
        let routes = try host.liveJSON("agents/\(agent).json")["routes"] as? [[String: Any]]
        return try #require(routes).compactMap { ($0["digest"] as? String).map { String($0.dropFirst(7)) } }
    }

    private func weights(_ host: Host) throws -> [String] {
        let routes = try host.liveJSON("agents/\(agent).json")["routes"] as? [[String: Any]]
        return try #require(routes).map { "\($0["version"] ?? "") \($0["weight"] ?? "")" }
    }

    @Test("A promotion starts with the first step, grows after each hold, and is the stable version in the end")
    func goodCanary() throws {
        let host = try host("{canary: {steps: [{weight: 20, hold: 1h}, {weight: 60, hold: 1h}]}}")
        let push = try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        #expect(push.errors.contains("canary 20 %  1.4.0 -> 1.5.0  [widening]"), "\(push.errors)")
        #expect(push.errors.contains("0 to update, 1 through a canary, 0 to delete"), "\(push.errors)")
        #expect(push.errors.contains("1.4.0 -> 1.5.0, canary 20 %"), "\(push.errors)")
        #expect(try weights(host) == ["1.5.0 20", "1.4.0 80"])
        #expect(try host.liveJSON("agents/\(agent).json")["phase"] as? String == "canary")
        let status = try host.ensign("rollout", "status", "--env", "prod")
        #expect(status.output.contains("canary"))
        #expect(status.output.contains("1 of 2"))
        host.pass(seconds: 3_600)
        #expect(try host.ensign("reconcile", "--env", "prod").output.contains("canary 60 %"))
        #expect(try weights(host) == ["1.5.0 60", "1.4.0 40"])
        // Everything but the git repository is lost: it goes on where it was.
        try FileManager.default.removeItem(atPath: host.live())
        for folder in ["cache", "state"] { try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/\(folder)") }
        _ = try host.ensign("reconcile", "--env", "prod", "--observe", "all")
        host.pass(seconds: 3_600)
        _ = try host.ensign("reconcile", "--env", "prod")
        #expect(try weights(host) == ["1.5.0 100"])
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
        let change = try #require((try host.entry()["changes"] as? [[String: Any]])?.last)
        #expect(change["action"] as? String == "promote" && change["agent"] as? String == agent)
        let log = try host.ensign("log", "--env", "prod", "--output", "json", agent).output
        #expect(log.contains(#""action": "promote""#), "\(log)")
        #expect(try host.ensign("rollout", "status", "--env", "prod").output == "prod: no rollout is under way\n")
    }

    @Test("What is watched into a file is written once, also when somebody sees what is said beside it")
    func watchedIntoFile() throws {
        let host = try Host(fleet: FleetFixture())
        let script = """
            import pty, subprocess, sys
            terminal, errors = pty.openpty()
            done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=errors, timeout=60)
            sys.stdout.buffer.write(done.stdout)
            sys.exit(done.returncode)
            """
        let words = ["rollout", "status", "--env", "prod"]
        let watched = try run("python3", ["-c", script, Host.ensign] + words + ["--watch"], in: host.bare)
        #expect(watched.status == 0, "\(watched.errors)")
        #expect(try watched.output == host.ensign(arguments: words).output)
    }

    @Test("An abort sends everyone back and quarantines; a retry starts again; pause stops the clock")
    func operators() throws {
        let host = try host("{canary: {steps: [{weight: 20, hold: 1h}]}}")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        func rollout(_ action: String, _ name: String? = nil) throws -> Int32 {
            try host.ensign("rollout", action, name ?? agent, "--env", "prod", "--reason", "trial").status
        }
        #expect(try rollout("pause") == 0)
        #expect(try rollout("pause") == 4)
        #expect(try host.ensign("rollout", "status", agent, "--env", "prod").output.contains("paused"))
        #expect(try rollout("resume") == 0)
        #expect(try rollout("abort") == 0)
        #expect(try weights(host) == ["1.4.0 100"])
        let held = try host.ensign("reconcile", "--env", "prod")
        #expect(held.status == 0)
        #expect(try host.ensign("rollout", "status", agent, "--env", "prod").output.contains("quarantine"))
        // Another commit about something else does not bring it back.
        try host.push("fleet/teams/support.yaml", "kind: Team", "kind: Team ")
        #expect(try weights(host) == ["1.4.0 100"])
        // The record says the weight and why, without a look into its JSON.
        let log = try host.ensign("log", "--env", "prod", agent).output
        #expect(log.contains("support/refund-triage canary 20 % 1.4.0 -> 1.5.0"), "\(log)")
        #expect(log.contains("rollback 1.5.0 -> 1.4.0 (aborted: trial)"), "\(log)")
        let retry = try host.ensign("rollout", "retry", agent, "--env", "prod", "--reason", "trial")
        #expect(retry.status == 0)
        #expect(
            retry.output.contains("support/refund-triage out of quarantine (1.5.0 lifted: trial)"),
            "\(retry.output)"
        )
        #expect(try weights(host) == ["1.5.0 20", "1.4.0 80"])
        #expect(try rollout("promote") == 0)
        #expect(try weights(host) == ["1.5.0 100"])
        #expect(try rollout("promote") == 4)
        #expect(try rollout("promote", "support/nobody") == 64)
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    @Test("A narrower grant applies at once, to both versions of a canary")
    func narrowed() throws {
        let host = try host("{canary: {steps: [{weight: 20, hold: 1h}]}}")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let before = try digests(host)
        let push = try host.push(deployment, "maximum: 100", "maximum: 50")
        #expect(push.status == 0, "\(push.errors)")
        #expect(try weights(host) == ["1.5.0 20", "1.4.0 80"])
        let after = try digests(host)
        #expect(after.count == 2 && Set(before).isDisjoint(with: after))
        for digest in after {
            let bundle = try host.liveFile("bundles/\(digest.prefix(2))/\(digest.dropFirst(2)).json")
            #expect(String(decoding: bundle, as: UTF8.self).contains("\"maximum\":50"))
        }
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    // MARK: Judged on telemetry

    /// Writes runs as an exporter does: one line for each, of one bundle.
    private func runs(_ count: Int, of digest: String, failing: Int, in host: Host) throws {
        let folder = "\(host.scratch.path)/telemetry"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = "\(folder)/traces.jsonl"
        var text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        for number in 0..<count {
            let now = Int64(host.now * 1e9)
            let id = UUID().uuidString.lowercased().replacing("-", with: "")
            let status = number < failing ? #"{"code":2}"# : "{}"
            text +=
                #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(id)","spanId":"\#(id.prefix(16))","#
                + #""name":"run","startTimeUnixNano":"\#(now)","endTimeUnixNano":"\#(now + 1000)","attributes":["#
                + #"{"key":"gen_ai.operation.name","value":{"stringValue":"invoke_agent"}},"#
                + #"{"key":"gen_ai.agent.name","value":{"stringValue":"\#(agent)"}},"#
                + #"{"key":"ensign.bundle","value":{"stringValue":"sha256:\#(digest)"}}],"status":\#(status)}]}]}]}"#
                + "\n"
        }
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    @Test("A candidate that fails is taken back on its telemetry, and the record has the numbers")
    func judged() throws {
        let analysis = "analysis: {metrics: [{name: success, kind: rate, good: true, margin: 0.1}], confidence: 0.95}"
        let host = try host("{canary: {steps: [{weight: 50, hold: 1s}], \(analysis)}}")
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let bad = try digests(host)
        host.pass(seconds: 2)
        // Without data nothing moves, whatever the clock says.
        #expect(try host.ensign("reconcile", "--env", "prod").output.contains("waiting for data"))
        for _ in 0..<10 {
            try runs(4, of: bad[0], failing: 4, in: host)
            try runs(4, of: bad[1], failing: 0, in: host)
        }
        _ = try host.ensign("reconcile", "--env", "prod")
        let before = try host.ensign("evidence", agent, "--env", "prod").output
        #expect(before.contains("in prod: canary 1.5.0 at 50 %, stable 1.4.0\n"), "\(before)")
        #expect(before.contains("verdict    no-data: There are not samples of both versions for every metric\n"))
        #expect(before.contains("Missing for a verdict\n  success: samples of either version\n"), "\(before)")
        #expect(before.contains("Earlier decisions\n  none in the ledger\n"), "\(before)")
        // A run's samples are made when the rest of its trace has had its time.
        host.pass(seconds: 16)
        let judged = try host.ensign("reconcile", "--env", "prod")
        #expect(judged.output.contains("rolled back"), "\(judged.output)\(judged.errors)")
        #expect(try weights(host) == ["1.4.0 100"])
        let entry = try host.hostGit("show", "refs/ensign/ledger/prod:entry.json")
        #expect(entry.contains("\"verdict\":\"fail\""))
        #expect(entry.contains("worse than stable"))
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
        try expectDecided(host)
    }

    @Test("A candidate that is granted tools and shows no call passes no metric of calls, and it is said why")
    func withoutCalls() throws {
        let analysis = "analysis: {metrics: [{name: tool-errors, kind: rate, margin: 0.5}], confidence: 0.9}"
        let host = try host("{canary: {steps: [{weight: 50, hold: 1s}], \(analysis)}}")
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let digests = try digests(host)
        host.pass(seconds: 2)
        for digest in digests { try runs(60, of: digest, failing: 0, in: host) }
        _ = try host.ensign("reconcile", "--env", "prod")
        host.pass(seconds: 16)
        let held = try host.ensign("reconcile", "--env", "prod")
        #expect(!held.output.contains("promoted"), "\(held.output)")
        #expect(try weights(host) == ["1.5.0 50", "1.4.0 50"])
        let why =
            "60 runs of the canary and not one call, although 5 operations are granted: is execute_tool telemetry written?"
        let evidence = try host.ensign("evidence", agent, "--env", "prod").output
        #expect(evidence.contains("verdict    no-data: "), "\(evidence)")
        #expect(evidence.contains("tool-errors: \(why)"), "\(evidence)")
        let status = try host.ensign("rollout", "status", agent, "--env", "prod").output
        #expect(status.contains(why), "\(status)")
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    @Test("A watch judges at once what was read before it started")
    func judgedFromTheStart() throws {
        let analysis = "analysis: {metrics: [{name: success, kind: rate, good: true, margin: 0.1}], confidence: 0.95}"
        let host = try host("{canary: {steps: [{weight: 50, hold: 1h}], \(analysis)}}")
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let both = try digests(host)
        for _ in 0..<10 {
            try runs(4, of: both[0], failing: 4, in: host)
            try runs(4, of: both[1], failing: 0, in: host)
        }
        _ = try host.ensign("reconcile", "--env", "prod")
        // A run's samples are made when the rest of its trace has had its time.
        host.pass(seconds: 16)
        // The first look at the canary ends before telemetry can be opened.
        let lock = "\(host.bare)/ensign/locks/prod.telemetry"
        let other = try Background(
            "/usr/bin/flock",
            [lock, "sleep", "4"],
            in: host.bare,
            log: "\(host.scratch.path)/other"
        )
        usleep(300_000)
        let log = "\(host.scratch.path)/watch.log"
        let watch = try Background(
            Host.ensign,
            ["watch", "--env", "prod"],
            in: host.bare,
            log: log,
            environment: host.time()
        )
        try eventually(within: .seconds(12), watch.output) { try weights(host) == ["1.4.0 100"] }
        _ = try other.stop()
        #expect(try watch.stop() == 0)
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    /// The same numbers again by `ensign evidence`, on the host and in a clone that has the ledger alone.
    private func expectDecided(_ host: Host) throws {
        let text = try host.ensign("evidence", agent, "--env", "prod").output
        #expect(text.contains("in prod: no canary is under way\n"), "\(text)")
        #expect(
            text.contains("rollback 1.5.0 -> 1.4.0, quarantined  [fail]  the analysis failed: success: "),
            "\(text)"
        )
        #expect(text.contains("\n      fail  success: "), "\(text)")
        let json = try host.ensign("evidence", agent, "--env", "prod", "--output", "json").output
        let value = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        #expect(value["canary"] is NSNull)
        #expect(value["rejections"] is [String: Int])
        let history = try #require(value["history"] as? [[String: Any]])
        #expect(history.count == 1)
        #expect(history[0]["action"] as? String == "rollback")
        #expect(history[0]["verdict"] as? String == "fail")
        #expect(history[0]["quarantines"] as? Bool == true)
        #expect(history[0]["commit"] as? String == (try host.entries()[0]))
        let metrics = (history[0]["analysis"] as? [String: Any])?["metrics"] as? [String: [String: Any]]
        #expect((metrics?["success"]?["samples"] as? [String: Int])?.keys.sorted() == ["canary", "stable"])
        #expect(try host.ensignInWork("init", "--client").status == 0)
        try host.git("fetch", "-q")
        let clone = try host.ensignInWork("evidence", agent, "--env", "prod").output
        #expect(clone == text, "\(clone)")
    }

    @Test("evidence says what is missing, and only what this clone knows; --limit holds the history short")
    func evidence() throws {
        let analysis = "analysis: {metrics: [{name: success, kind: rate, good: true, margin: 0.1}], deadline: 2h}"
        let host = try host("{canary: {steps: [{weight: 50, hold: 1h}], \(analysis)}}")
        func evidence(_ arguments: String...) throws -> CommandResult {
            try run(Host.ensign, ["evidence", agent, "--env", "prod"] + arguments, in: host.bare)
        }
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let text = try evidence().output
        #expect(text.contains("hold ends  2"))
        #expect(text.contains("deadline   2"))
        #expect(text.contains("success: samples of either version"), "\(text)")
        #expect(try host.ensignInWork("init", "--client").status == 0)
        try host.git("fetch", "-q")
        let clone = try host.ensignInWork("evidence", agent, "--env", "prod").output
        #expect(clone.contains("canary 1.5.0 at 50 %, stable 1.4.0"), "\(clone)")
        #expect(clone.contains("not known here: what was counted is on the host"), "\(clone)")
        #expect(!clone.contains("Missing"))

        let reason = ["--reason", "trial"]
        for action in ["abort", "retry", "promote"] {
            let arguments = ["rollout", action, agent, "--env", "prod"] + reason
            #expect(try run(Host.ensign, arguments, in: host.bare).status == 0)
        }
        let all = try evidence().output.split(separator: "\n").map(String.init)
        let decisions = all.drop { !$0.hasPrefix("Earlier") }.dropFirst()
        #expect(decisions.count == 3, "\(all)")
        for (line, what) in zip(decisions, ["promote 1.4.0 -> 1.5.0", "quarantine lifted", "rollback 1.5.0 -> 1.4.0"]) {
            #expect(line.contains(what), "\(line)")
            #expect(line.contains("[no verdict]"), "\(line)")
            #expect(line.contains("trial"), "\(line)")
        }
        let one = try evidence("--limit", "1").output
        #expect(one.contains("promote 1.4.0 -> 1.5.0"))
        #expect(!one.contains("rollback"))
        #expect(try evidence("--limit", "0").status == 64)
        #expect(try evidence("--output", "markdown").output.contains("**Earlier decisions**\n\n- entry "))
        let unknown = try host.ensign("evidence", "support/refund-triaje", "--env", "prod")
        #expect(unknown.status == 64)
        #expect(unknown.errors.contains("did you mean 'support/refund-triage'?"), "\(unknown.errors)")
    }

    @Test("A reason that says nothing is refused, wherever one is put on record")
    func blankReason() throws {
        let host = try Host(fleet: FleetFixture())
        let agent = "support/triage"
        let lines =
            ["pause", "resume", "promote", "abort", "retry", "override"].map { ["rollout", $0, agent] } + [
                ["halt", agent], ["resume", agent], ["rollback", agent, "--now"], ["rollback", agent],
                ["reconcile", "--allow-prune"],
            ]
        let before = try host.entries()
        for words in lines {
            for reason in ["", "  ", "\u{A0}\t"] {
                let result = try host.ensign(arguments: words + ["--env", "prod", "--reason", reason])
                #expect(
                    result.status == 64 && result.errors.contains("--reason must say why"),
                    "\(words): \(result.errors)"
                )
            }
        }
        #expect(
            try host.ensign("rollout", "pause", agent, "--env", "prod").errors.contains(
                "'rollout pause' needs --reason"
            )
        )
        #expect(try host.entries() == before)
    }
}
