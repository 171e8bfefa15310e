import EnsignTestSupport
import Foundation
import Testing

/// Behaviour that drifts though nothing was deployed: from the runs of the stable version to the record and the halt.
@Suite struct GuardTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"
    private let agent = "support/refund-triage"

    /// A host whose canaries are judged on `success`, with a guard, and telemetry beside it.
    private func host(_ guarding: String) throws -> Host {
        let host = try Host()
        let metric = "{name: success, kind: rate, good: true, margin: 0.1, guard: \(guarding)}"
        let rollout = "{canary: {steps: [{weight: 50, hold: 1h}], analysis: {metrics: [\(metric)]}}}"
        let push = try host.push("environments/prod/environment.yaml", "spec:", "spec:\n  rollout: \(rollout)")
        #expect(push.status == 0, "\(push.errors)")
        #expect(!push.errors.contains("declared only, not enforced yet: rollout"), "\(push.errors)")
        try host.hostGit("config", "ensign.prod.telemetry", "\(host.scratch.path)/telemetry")
        return host
    }

    /// Writes runs of a bundle as an exporter does, one on each line; of each ten so many fail.
    private func runs(_ count: Int, of digest: String, failing: Int, in host: Host) throws {
        let folder = "\(host.scratch.path)/telemetry"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let path = "\(folder)/traces.jsonl"
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        var text = ""
        for number in 0..<count {
            let now = Int64(host.now * 1e9)
            let id = UUID().uuidString.lowercased().replacing("-", with: "")
            let status = number % 10 < failing ? #"{"code":2}"# : "{}"
            text +=
                #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(id)","spanId":"\#(id.prefix(16))","#
                + #""name":"run","startTimeUnixNano":"\#(now)","endTimeUnixNano":"\#(now + 1000)","attributes":["#
                + #"{"key":"gen_ai.operation.name","value":{"stringValue":"invoke_agent"}},"#
                + #"{"key":"gen_ai.agent.name","value":{"stringValue":"\#(agent)"}},"#
                + #"{"key":"ensign.bundle","value":{"stringValue":"\#(digest)"}}],"status":\#(status)}]}]}]}"#
                + "\n"
        }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
    }

    /// A run's samples are made when the rest of its trace has had its time: reads, waits, and reads again.
    private func settle(_ host: Host) throws -> CommandResult {
        _ = try host.ensign("reconcile", "--env", "prod")
        host.pass(seconds: 16)
        return try host.ensign("reconcile", "--env", "prod")
    }

    private func drifts(_ host: Host) throws -> Int { try host.kinds().count { $0 == "drift" } }

    @Test(
        "Triggers and stores are for the runtime: the plan says that nothing enforces them, and what `runtime` may hide"
    )
    func declaredOnly() throws {
        var fleet = FleetFixture()
        fleet.replace("limits:", with: "triggers: [{queue: tickets}]\n  limits:", in: FleetFixture.deploymentPath)
        fleet.replace(
            "operations:",
            with: "store: {kind: memory, scope: team}\n  operations:",
            in: FleetFixture.toolPath
        )
        fleet.replace("kind: langgraph", with: "kind: langgraph, skills: [x]", in: FleetFixture.agentPath)
        let host = try Host(fleet: fleet)
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 200")
        let plan = try host.ensignInWork("plan", "--env", "prod", "--worktree")
        for part in ["triggers", "store of crm", "'skills' in runtime may bring skills that nobody grants"] {
            #expect(plan.output.contains(part), "\(plan.output)\(plan.errors)")
        }
    }

    @Test("A fall though nothing was deployed is recorded once and told; a new version begins anew")
    func drift() throws {
        let host = try host("true")
        try host.hostGit("config", "ensign.notify", "cat >>told")
        try host.ensign("reconcile", "--env", "prod")
        let stable = try host.digest(agent)
        try runs(250, of: stable, failing: 0, in: host)
        try runs(120, of: stable, failing: 4, in: host)
        let before = try host.entries()
        let found = try settle(host)
        #expect(found.output.contains("\(agent) 1.4.0 drifted: success: the stable version drifted"), "\(found.output)")
        // One entry, with the tree of the state before it.
        #expect(try host.entries().count == before.count + 1)
        let entry = try host.entry()
        #expect(entry["kind"] as? String == "drift" && entry["reason"] as? String == "behaviour")
        #expect(entry["result"] as? String == "ok")
        for folder in ["agents", "bundles"] {
            let ids = try ["", "~1"].map { try host.hostGit("rev-parse", "refs/ensign/ledger/prod\($0):\(folder)") }
            #expect(ids[0] == ids[1])
        }
        let change = try #require((entry["changes"] as? [[String: Any]])?.first)
        #expect(change["agent"] as? String == agent && change["action"] as? String == "update")
        let evidence = try #require(change["evidence"] as? [String: Any])
        let since = try #require((evidence["since"] as? [String: Any])?["value"] as? Double)
        #expect((evidence["baseline"] as? [String: Any])?["value"] as? Double == 1 && (0.3...0.85).contains(since))
        #expect(evidence["metric"] as? String == "success")
        try host.expectSound()
        // Nothing is stopped.
        #expect(try host.liveJSON("agents/\(agent).json")["phase"] as? String == "stable")
        // It is reported, and shown.
        let told = try String(contentsOfFile: "\(host.bare)/told", encoding: .utf8)
        #expect(told.split(separator: "\n").count == 1)
        #expect(told.contains("\"notices\":[\"drift\"]") && told.contains("drift, behaviour of \(agent) 1.4.0"))
        #expect(try host.ensign("log", "--env", "prod", agent).output.contains("1.4.0 drifted: success: "))
        let status = try host.ensign("status", "--env", "prod").errors
        #expect(status.contains("prod: drift: \(agent) 1.4.0, recorded "), "\(status)")
        #expect(try host.ensign("status", "--output", "json").output.contains("\"metric\": \"success\""))
        let rollout = try host.ensign("rollout", "status", agent, "--env", "prod").output
        #expect(rollout.contains("  drift      recorded ") && rollout.contains("  guard      success: "), "\(rollout)")
        // Again, and again after everything that was counted is lost: no second entry.
        try host.ensign("reconcile", "--env", "prod")
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/state")
        _ = try settle(host)
        #expect(try drifts(host) == 1)
        // Another version has another past.
        let push = try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        // The plan that the push shows uses what this host has seen of the agent.
        #expect(
            push.errors.contains(/canary: at 37\d runs an hour this canary can see success fall by/),
            "\(push.errors)"
        )
        #expect(!push.errors.contains("no telemetry"))
        let promote = try host.ensign("rollout", "promote", agent, "--env", "prod", "--reason", "trial")
        #expect(promote.status == 0, "\(promote.errors)")
        #expect(!(try host.ensign("status", "--env", "prod").errors.contains("drift:")))
        try runs(60, of: try host.digest(agent), failing: 4, in: host)
        _ = try settle(host)
        let anew = try host.ensign("rollout", "status", agent, "--env", "prod").output
        #expect(anew.contains("success: its baseline is being recorded: 60 of 200 samples"), "\(anew)")
        #expect(try drifts(host) == 1)
        try host.expectSound()
    }

    @Test("With 'halt' the agent is stopped as well, also under a watch; a resume ends it")
    func halt() throws {
        let host = try host("halt")
        let log = "\(host.scratch.path)/watch.log"
        let watch = try Background(Host.ensign, ["watch", "--env", "prod"], in: host.bare, log: log)
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        let stable = try host.digest(agent)
        try runs(220, of: stable, failing: 0, in: host)
        try runs(120, of: stable, failing: 4, in: host)
        eventually(within: .seconds(30), watch.output) {
            (try? host.liveJSON("agents/\(agent).json")["phase"] as? String) == "halted"
        }
        try eventually(within: .seconds(10), watch.output) { try host.kinds().suffix(2).sorted() == ["drift", "halt"] }
        #expect(watch.output.contains("guard: \(agent): success: the stable version drifted"), "\(watch.output)")
        let status = try host.ensign("status", "--env", "prod").errors
        #expect(status.contains("halted: \(agent) since ") && status.contains(" by guard: success: "), "\(status)")
        try host.expectSound()
        let resume = try host.ensign("resume", agent, "--env", "prod", "--reason", "the provider says sorry")
        #expect(resume.status == 0, "\(resume.errors)")
        #expect(!(try host.ensign("status", "--env", "prod").errors.contains("drift:")))
        // What it did before is read again, and stops nobody.
        #expect(try watch.stop() == 0)
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/state")
        _ = try settle(host)
        #expect(try host.liveJSON("agents/\(agent).json")["phase"] as? String == "stable")
        #expect(try drifts(host) == 1)
        try host.expectSound()
    }

    @Test(
        "verify accepts a drift of behaviour that says what was found, and nothing more",
        arguments: [
            ("nothing else", "intact"), ("another version", "broken at 5"), ("a state", "broken at 5"),
            ("a promotion", "broken at 5"), ("no metric", "broken at 5"), ("no change", "broken at 5"),
            ("a stranger", "broken at 5"), ("files", "broken at 5"), ("a route", "broken at 5"),
        ]
    )
    func strict(_ what: (says: String, verdict: String)) throws {
        let ledger = try LedgerCopy()
        let text = try ledger.git("show", "\(ledger.tip):entry.json")
        let digest = try ledger.sha256(text + "\n")
        var entry = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        var change = try #require((entry["changes"] as? [[String: Any]])?.first)
        var side = try #require(change["to"] as? [String: Any])
        var evidence: [String: Any] = ["metric": "success", "reason": "it fell"]
        switch what.says {
        case "another version": side["version"] = "6.6.6"
        case "a state": evidence["state"] = [:]
        case "a promotion": change["action"] = "promote"
        case "no metric": evidence["metric"] = nil
        case "a stranger": change["agent"] = "support/nobody"
        default: break
        }
        (change["from"], change["to"], change["class"], change["evidence"]) = (side, side, "behaviour", evidence)
        entry["changes"] = what.says == "no change" ? [] : [change]
        (entry["seq"], entry["kind"]) = (5, "drift")
        entry["reason"] = what.says == "files" ? "drift" : "behaviour"
        entry["previous"] = ["commit": ledger.tip, "sha256": digest]
        let forged = try JSONSerialization.data(withJSONObject: entry, options: [.sortedKeys, .withoutEscapingSlashes])
        let subject =
            switch what.says {
            case "no change": "prod: drift, behaviour, 0 metrics"
            case "files": "prod: drift, 1 file"
            default: "prod: drift, behaviour of \(change["agent"] ?? "") \(side["version"] ?? "")"
            }
        let commit = try ledger.forged(
            ledger.tip,
            entry: { _ in String(decoding: forged, as: UTF8.self) + "\n" },
            files: what.says == "a route" ? ["agents/support/desk.json": "{}\n"] : [:],
            header: { text in
                text.replacing("Ensign-Seq: 4", with: "Ensign-Seq: 5")
                    .replacing("parent \(ledger.entries[3])", with: "parent \(ledger.tip)")
                    .split(separator: "\n", omittingEmptySubsequences: false)
                    .map { $0.hasPrefix("prod: ") ? subject : String($0) }.joined(separator: "\n")
            }
        )
        try ledger.point(at: commit)
        let found = try ledger.verify()
        let why = try ledger.ensign("verify").errors
        #expect(found.verdict == what.verdict, "\(why)")
    }
}
