import EnsignTestSupport
import Foundation
import Testing

/// `mode: observe`: who observes, what would have been refused, and what the answers say meanwhile.
@Suite struct ObservedTests {
    private static let agent = "support/triage"
    private static let deployment = FleetFixture.deploymentPath

    private let host: Host

    init() throws {
        var fleet = FleetFixture()
        fleet.replace("  version: 1.0.0\n", with: "  version: 1.0.0\n  mode: observe\n", in: Self.deployment)
        host = try Host(fleet: fleet)
    }

    private var folder: String { "\(host.scratch.path)/telemetry" }

    private func setUp(gateway: Bool = true) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try host.hostGit("config", "ensign.prod.telemetry", folder)
        if gateway { try host.hostGit("config", "ensign.prod.gateway", "agents-1") }
    }

    private func digest() throws -> String {
        let routes = try host.liveJSON("agents/\(Self.agent).json")["routes"] as? [[String: Any]]
        return try #require(routes?.first?["digest"] as? String)
    }

    /// Writes calls as the gateway does, ended now.
    private func calls(_ calls: [(operation: String, reason: String?)]) throws {
        let now = Int64(host.now * 1e9)
        let path = "\(folder)/gateway.jsonl"
        var text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        for (operation, reason) in calls {
            var attributes = [
                ("gen_ai.operation.name", "execute_tool"), ("gen_ai.agent.name", Self.agent),
                ("gen_ai.tool.name", operation), ("ensign.bundle", try digest()), ("ensign.run", "r1"),
            ]
            if let reason { attributes += [("ensign.verdict", "would-refuse"), ("ensign.reason", reason)] }
            let texts = attributes.map { #"{"key":"\#($0.0)","value":{"stringValue":"\#($0.1)"}}"# }
            let id = String(UInt64.random(in: (1 << 60)...(.max)), radix: 16)
            text +=
                #"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"\#(id)\#(id)","spanId":"\#(id)","name":"x","#
                + #""startTimeUnixNano":"\#(now - 1_000_000)","endTimeUnixNano":"\#(now)","#
                + #""attributes":[\#(texts.joined(separator: ",")),{"key":"ensign.gateway","value":{"boolValue":true}}]"#
                + #"}]}]}]}"# + "\n"
        }
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    private func json(_ arguments: String...) throws -> [String: Any] {
        let result = try host.ensign(arguments: arguments + ["--output", "json"])
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    }

    private func newest() throws -> [String: Any] {
        let environments = try json("status", "--env", "prod")["environments"] as? [[String: Any]]
        return try #require(environments?.first)
    }

    @Test("Status counts who observes, and what the gateway would have refused since when, once for each call")
    func status() throws {
        try setUp()
        try calls([
            ("crm.find", nil), ("crm.update", "arguments"), ("crm.update", "arguments"), ("crm__drop", "not-granted"),
        ])
        for _ in 1...2 { #expect(try host.ensign("reconcile", "--env", "prod").status == 0) }
        let text = try host.ensign("status", "--env", "prod").errors
        #expect(
            text.contains(
                "1 agent observes (mode: observe), so what the gateway would refuse is let through: support/triage"
            ),
            "\(text)"
        )
        let counts = #/support/triage: 3 calls of 2 operations would have been refused since [-:0-9TZ]+, of 4: /#
        #expect(text.contains(counts), "\(text)")
        #expect(text.contains("2 crm.update (arguments), 1 crm__drop (not-granted)"), "\(text)")
        let observed = try #require(newest()["observed"] as? [String: Any])
        #expect(observed["gateway"] as? String == "agents-1" && observed["count"] as? Int == 1)
        #expect(observed["calls"] as? Int == 4 && observed["wouldRefuse"] as? Int == 3)
        let row = try #require((observed["agents"] as? [[String: Any]])?.first)
        #expect(row["agent"] as? String == Self.agent && row["since"] is String)
        let refusals = try #require(row["refusals"] as? [[String: Any]])
        #expect(refusals.map { $0["reason"] as? String } == ["arguments", "not-granted"])
        #expect(refusals.map { $0["count"] as? Int } == [2, 1])
        #expect(try newest()["observing"] as? [String] == [Self.agent])
        // What was read is kept, whatever becomes of the files and of what can be made again.
        try FileManager.default.removeItem(atPath: "\(folder)/gateway.jsonl")
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/cache")
        try calls([("crm.find", nil)])
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try host.ensign("status", "--env", "prod").errors.contains(", of 5: "))
        // A copy that a crash kept from being written is made again.
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/state/prod/observed")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try host.ensign("status", "--env", "prod").errors.contains(", of 5: "))
        // A month without a call, and it says nothing of today.
        host.pass(seconds: 40 * 86_400)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(
            try host.ensign("status", "--env", "prod").errors.contains(
                "nothing is known of what would have been refused"
            )
        )
    }

    @Test("Without a gateway, and without its spans, status says that nothing is known and nothing has an effect")
    func unknown() throws {
        let bare = try host.ensign("status", "--env", "prod").errors
        #expect(
            bare.contains(
                "no gateway is named (ensign.prod.gateway), and without one neither observe nor enforce has an effect"
            )
        )
        #expect(bare.contains("what would have been refused is not known: no telemetry is read here"), "\(bare)")
        try setUp()
        let silent = try host.ensign("status", "--env", "prod").errors
        #expect(!silent.contains("no gateway is named"))
        #expect(
            silent.contains(
                "nothing is known of what would have been refused of support/triage: no call was read in a gateway's spans ('ensign reconcile' reads them)"
            )
        )
        let observed = try #require(newest()["observed"] as? [String: Any])
        #expect(observed["notSeen"] as? Int == 1 && observed["obstacle"] is NSNull)
    }

    @Test("The plan that turns refusals on says what would have been refused, and who is still only observed")
    func plan() throws {
        try setUp()
        let blind = try host.push(Self.deployment, "approval: dual", "approval: manager")
        #expect(
            blind.errors.contains("only observed: nothing is known of what would have been refused"),
            "\(blind.errors)"
        )
        #expect(blind.errors.contains("Only observed (mode: observe): 1 agent: what the gateway would refuse of it"))
        try calls([("crm.find", nil), ("crm.update", "arguments"), ("crm.erase", "approval-pending")])
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        let push = try host.push(Self.deployment, "  mode: observe\n", "")
        let said =
            /no longer only observed: 2 calls of 2 operations would have been refused since [-:0-9TZ]+, of 3: 1 crm\.erase \(approval-pending\), 1 crm\.update \(arguments\)/
        #expect(push.errors.contains(said), "\(push.errors)")
        #expect(push.errors.contains("Only observed (mode: observe): 0 agents, 1 before"), "\(push.errors)")
        #expect(!push.errors.contains("no gateway is named"))
        #expect(try !host.ensign("status", "--env", "prod").errors.contains("observe"))
    }

    @Test("A plan in another clone says that the host alone knows; a changed bundle's calls are told from earlier ones")
    func elsewhere() throws {
        try setUp(gateway: false)
        try calls([("crm.update", "arguments")])
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        try host.push(Self.deployment, "approval: dual", "approval: manager")
        let later = try host.ensign("status", "--env", "prod").errors
        #expect(later.contains("all with earlier bundles, none with what is live"), "\(later)")
        try host.edit(Self.deployment, "  mode: observe\n", "")
        try host.ensignInWork("init", "--client")
        try host.git("fetch", "-q")
        let plan = try host.ensignInWork("plan", "--env", "prod", "--worktree")
        #expect(
            plan.output.contains("not known: the host of the fleet alone reads the gateway's spans"),
            "\(plan.output)"
        )
        let read = try host.ensignInWork("plan", "--env", "prod", "--worktree", "--output", "json").output
        let told = try #require(try JSONSerialization.jsonObject(with: Data(read.utf8)) as? [String: Any])
        let change = try #require((told["changes"] as? [[String: Any]])?.first?["observed"] as? [String: Any])
        #expect(change["ends"] as? Bool == true && change["evidence"] is NSNull && change["obstacle"] is String)
        #expect(told["observing"] as? [String: Int] == ["before": 1, "after": 0])
        try host.git("checkout", "--", Self.deployment)
        let push = try host.push(Self.deployment, "  mode: observe\n", "")
        #expect(push.errors.contains("no gateway is named (ensign.prod.gateway)"), "\(push.errors)")
    }

    @Test("check, who-can and get agents say that what the grants refuse is let through")
    func answers() throws {
        let refused = try host.ensign("check", Self.agent, "crm.drop", "--env", "prod")
        #expect(refused.status == 0)
        #expect(
            refused.output.contains("let through, as it is only observed (mode: observe): "),
            "\(refused.output)"
        )
        let erase = try json("check", Self.agent, "crm.erase", "--env", "prod")
        #expect(erase["verdict"] as? String == "would-refuse" && erase["approval"] as? String == "dual")
        #expect(erase["agreement"] is NSNull)
        let manifests = try host.ensignInWork("check", Self.agent, "crm.drop", "--env", "prod", "--rev", "HEAD")
        #expect(manifests.status == 0 && manifests.output.contains("let through"), "\(manifests.output)")
        #expect(try host.ensign("check", Self.agent, "crm.find", "--env", "prod").output.hasPrefix("allowed: "))
        let who = try host.ensign("who-can", "crm.update", "--env", "prod")
        #expect(who.output.contains("manager (observed)"), "\(who.output)")
        #expect(who.errors.contains("refuse, of any tool: support/triage 1.0.0"), "\(who.errors)")
        let holders = try json("who-can", "crm.update", "--env", "prod")
        #expect((holders["observed"] as? [[String: Any]])?.first?["agent"] as? String == Self.agent)
        #expect((holders["holders"] as? [[String: Any]])?.first?["observed"] as? Bool == true)
        let table = try host.ensign("get", "agents", "--env", "prod").output
        #expect(table.contains(#/PHASE +MODE +SINCE/#) && table.contains(#/stable +observe /#), "\(table)")
        let agents = try #require(json("get", "agents", "--env", "prod")["agents"] as? [[String: Any]])
        #expect(agents.map { $0["mode"] as? String } == ["enforce", "observe"])
        // A halt holds whoever is observed.
        #expect(try host.ensign("halt", Self.agent, "--env", "prod", "--reason", "trial").status == 0)
        #expect(try host.ensign("check", Self.agent, "crm.find", "--env", "prod").status == 4)
    }
}
