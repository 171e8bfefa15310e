import EnsignTestSupport
import Foundation
import Testing

/// Questions are answered from what is live, or say that they are not.
@Suite struct LiveQuestionTests {
    private static let canary = "{canary: {steps: [{weight: 20, hold: 1h}]}}"

    /// The small fleet with a canary under way: what triage may do is compared.
    private func canary() throws -> Host {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.environmentPath, "spec:\n", "spec:\n  rollout: \(Self.canary)\n")
        let pushed = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 200")
        #expect(pushed.errors.contains("canary 20 %"), "\(pushed.errors)")
        return host
    }

    private func json(_ result: CommandResult) throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return try #require(value as? [String: Any], "\(result.errors)")
    }

    private func agents(_ host: Host, _ more: String...) throws -> [[String: Any]] {
        let result = try run(Host.ensign, ["get", "agents", "--env", "prod", "-o", "json"] + more, in: host.bare)
        let agents = try #require(try json(result)["agents"] as? [[String: Any]])
        return agents.filter { $0["agent"] as? String == "support/triage" }
    }

    // MARK: get agents --env

    @Test("get agents --env has what git wants, what sessions get, in which phase, since when, and why")
    func live() throws {
        let host = try canary()
        let table = try host.ensign("get", "agents", "--env", "prod")
        #expect(
            table.output.contains(#/support\/triage +1\.0\.0 +1\.0\.0 +1\.0\.0 \(20 %\) +canary +20.*the hold/#),
            "\(table.output)"
        )
        #expect(
            try host.ensign("status", "--env", "prod").errors.contains("prod: canary: support/triage 1.0.0 at 20 %")
        )
        let row = try #require(try agents(host).first)
        #expect(row["phase"] as? String == "canary" && row["weight"] as? Int == 20)
        #expect(row["model"] as? String == "anthropic/claude-sonnet-4-5")
        #expect(row["labels"] as? [String: String] == ["domain": "tickets"] && row["tools"] as? [String] == ["crm"])
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it leaks").status == 0)
        let halted = try #require(try agents(host).first)
        #expect(halted["phase"] as? String == "halted")
        #expect(try #require(halted["reason"] as? String).hasSuffix(": it leaks"))
        #expect(try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "ok").status == 0)
        #expect(try host.ensign("rollout", "abort", "support/triage", "--env", "prod", "--reason", "bad").status == 0)
        let back = try #require(try agents(host).first)
        #expect(back["phase"] as? String == "quarantined" && back["weight"] is NSNull, "\(back)")
        #expect(try #require(back["reason"] as? String).contains("quarantined"))
    }

    @Test("What cannot be applied is the reason, and an agent that is not live yet is there")
    func refused() throws {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        try host.edit(FleetFixture.deploymentPath, "version: 1.0.0", "version: 9.9.9")
        try host.git("commit", "-q", "-a", "-m", "A slip")
        _ = try host.tryGit("push", "-q", "origin", "main")
        let row = try #require(try agents(host).first)
        #expect(row["wanted"] as? String == "9.9.9" && row["phase"] as? String == "stable")
        #expect(try #require(row["reason"] as? String).contains("is invalid: 1 error"), "\(row)")
    }

    @Test("Filters by team, label, model and tool, of what is declared and of what is live")
    func filters() throws {
        let host = try Host()
        func names(_ arguments: String...) throws -> [String] {
            let result = try run(Host.ensign, ["get", "agents", "-q"] + arguments, in: host.bare)
            #expect(result.status == 0, "\(result.errors)")
            return result.output.split(separator: "\n").map(String.init)
        }
        for place in [[], ["--env", "prod"]] {
            func asked(_ arguments: String...) throws -> [String] {
                let result = try run(Host.ensign, ["get", "agents", "-q"] + place + arguments, in: host.bare)
                return result.output.split(separator: "\n").map(String.init)
            }
            #expect(try asked("--team", "it").allSatisfy { $0.hasPrefix("it/") })
            #expect(try !asked("--team", "it").isEmpty && asked("--team", "nobody").isEmpty)
            #expect(try asked("--tool", "payments") == ["support/refund-triage"], "\(place)")
            #expect(try asked("--tool", "payments", "--team", "it").isEmpty)
        }
        let all = try json(host.ensign("get", "agents", "-o", "json"))["agents"] as? [[String: Any]]
        let triage = try #require(all?.first { $0["agent"] as? String == "support/refund-triage" })
        let model = try #require(triage["model"] as? String)
        #expect(try names("--model", model).contains("support/refund-triage"))
        #expect(try names("--model", String(model.split(separator: "/")[1])).contains("support/refund-triage"))
        for (key, value) in try #require(triage["labels"] as? [String: String]) {
            #expect(try names("--label", "\(key)=\(value)").contains("support/refund-triage"))
            #expect(try !names("--label", "\(key)=not-\(value)").contains("support/refund-triage"))
            // Of two values for one label no agent has both.
            for place in [[], ["--env", "prod"]] {
                for order in [[value, "x"], ["x", value]] {
                    let labels = order.flatMap { ["--label", "\(key)=\($0)"] }
                    let both = try host.ensign(arguments: ["get", "agents", "-q"] + place + labels)
                    #expect(both.status == 0 && both.output.isEmpty, "\(place) \(labels): \(both.output)")
                }
            }
        }
        #expect(try host.ensign("get", "agents", "--label", "x").status == 64)
        #expect(try host.ensign("get", "tools", "--team", "it").status == 64)
    }

    @Test("get agents --env --entry and --at say what was live then; outside the ledger is an error")
    func earlier() throws {
        let host = try canary()
        let first = try #require(try agents(host, "--entry", "2").first)
        #expect(first["phase"] as? String == "stable" && first["weight"] is NSNull)
        host.pass(seconds: 86_400)
        #expect(try #require(try agents(host, "--at", "2100-01-01T00:00:00Z").first)["phase"] as? String == "canary")
        for moment in [
            ["--at", "2020-01-01"], ["--entry", "99"], ["--at", "tuesday"], ["--entry", "2", "--at", "1d"],
        ] {
            let result = try run(Host.ensign, ["get", "agents", "--env", "prod"] + moment, in: host.bare)
            #expect(result.status == 64, "\(moment): \(result.output)\(result.errors)")
        }
    }

    @Test("As it was, a quarantined version is said to be, and not to wait for a reconcile")
    func earlierQuarantine() throws {
        let host = try Host(fleet: FleetFixture())
        try host.push(FleetFixture.environmentPath, "spec:\n", "spec:\n  rollout: \(Self.canary)\n")
        let folder = "\(host.work)/fleet/agents/support/triage"
        try FileManager.default.copyItem(atPath: "\(folder)/1.0.0", toPath: "\(folder)/1.1.0")
        try host.edit("fleet/agents/support/triage/1.1.0/prompt.md", "Sort the ticket.", "Sort the tickets.")
        try host.git("add", "-A")
        try host.push(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0")
        let words = ["support/triage", "--env", "prod", "--reason", "x"]
        #expect(try host.ensign(arguments: ["rollout", "abort"] + words).status == 0)
        let now = try #require(try agents(host).first)
        let newest = try #require(try host.entry()["seq"] as? Int)
        let then = try #require(try agents(host, "--entry", "\(newest)").first)
        #expect(now["phase"] as? String == "quarantined")
        for field in ["phase", "reason"] { #expect(then[field] as? String == now[field] as? String, "\(field)") }
    }

    // MARK: who-can and check

    @Test("who-can and check answer for every version that takes sessions, and leave halted agents apart")
    func versions() throws {
        let host = try canary()
        let who = try host.ensign("who-can", "crm.update", "--env", "prod")
        #expect(who.output.contains("1.0.0 (20 %)") && who.output.contains("1.0.0 (80 %)"), "\(who.output)")
        let check = { try host.ensign("check", "support/triage", "crm.update", "--env", "prod", "--arguments", $0) }
        let amount = try check(#"{"customer": "C-1", "credit": 150}"#)
        #expect(
            amount.output.contains("1.0.0 (20 %): ") && amount.output.contains("1.0.0 (80 %): refused"),
            "\(amount.output)\(amount.errors)"
        )
        #expect(amount.status == 0)
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it leaks").status == 0)
        let halted = try host.ensign("who-can", "crm.update", "--env", "prod")
        #expect(
            halted.output.isEmpty && halted.errors.contains("support/triage 1.0.0 is halted"),
            "\(halted.output)\(halted.errors)"
        )
        let answer = try host.ensign("check", "support/triage", "crm.update", "--env", "prod")
        #expect(answer.status == 4 && answer.output.contains("it leaks"), "\(answer.output)")
    }

    @Test("Whoever hands work to an agent that may call it is listed, with through whom")
    func delegation() throws {
        let host = try Host()
        let who = try host.ensign("who-can", "knowledge-base.read", "--env", "staging")
        #expect(who.output.contains(#/support\/refund-triage .*through support\/knowledge-answers/#), "\(who.output)")
        let declared = try host.ensign("who-can", "knowledge-base.read", "--env", "staging", "--rev", "main")
        #expect(declared.output.contains("through support/knowledge-answers"), "\(declared.output)")
        let check = try host.ensign("check", "support/refund-triage", "knowledge-base.read", "--env", "staging")
        #expect(check.status == 4 && check.output.contains("through support/knowledge-answers"), "\(check.output)")
    }

    @Test("rollout status of a stable agent has its version and since when; an unknown one is an error in every verb")
    func names() throws {
        let host = try Host(fleet: FleetFixture())
        let status = try host.ensign("rollout", "status", "support/triage", "--env", "prod")
        #expect(status.output.contains(#/support\/triage in prod: stable\n +stable +1\.0\.0/#), "\(status.output)")
        #expect(status.output.contains(#/since +20\d\d-/#))
        for arguments in [
            ["rollout", "status", "support/triaje"], ["rollout", "abort", "support/triaje", "--reason", "x"],
            ["log", "support/triaje"], ["evidence", "support/triaje"], ["route", "support/triaje", "--key", "k"],
            ["halt", "support/triaje", "--reason", "x"], ["resume", "support/triaje", "--reason", "x"],
            ["rollback", "support/triaje", "--now", "--reason", "x"], ["rollback", "support/triaje"],
            ["check", "support/triaje", "crm.update"],
        ] {
            let result = try run(Host.ensign, arguments + ["--env", "prod"], in: host.bare)
            #expect(result.status == 64, "\(arguments): \(result.output)\(result.errors)")
            #expect(result.errors.contains("did you mean 'support/triage'?"), "\(arguments): \(result.errors)")
        }
        let promote = try host.ensignInWork("promote", "support/triaje", "--to", "prod")
        #expect(promote.status == 64 && promote.errors.contains("did you mean 'support/triage'?"))
        let release = try host.ensignInWork("release", "support/triaje", "1.2.0")
        #expect(release.status == 64 && release.errors.contains("did you mean 'support/triage'?"), "\(release.errors)")
        for words in [
            ["diff", "support/triaje@1.0.0", "support/triage@1.0.0"], ["new", "version", "support/triaje"],
            ["new", "deployment", "support/triaje", "--env", "dev"],
        ] {
            let result = try run(Host.ensign, words, in: host.work)
            #expect(result.status == 64, "\(words): \(result.errors)")
            #expect(result.errors.contains("did you mean 'support/triage'?"), "\(words): \(result.errors)")
        }
        let version = try host.ensignInWork("diff", "support/triage@1.0.0", "support/triage@9.9.9")
        #expect(version.status == 64 && version.errors.contains("its versions: 1.0.0"), "\(version.errors)")
        let bare = try host.ensign("log", "triage", "--env", "prod")
        #expect(bare.status == 64 && bare.errors.contains("did you mean 'support/triage'?"), "\(bare.errors)")
    }

    // MARK: Clones

    @Test("A clone without the ledger says what to fetch, and never answers that there is nothing")
    func noLedger() throws {
        let host = try Host(fleet: FleetFixture())
        for arguments in [
            ["log"], ["rollout", "status"], ["rollout", "status", "support/triage"], ["evidence", "support/triage"],
            ["route", "support/triage", "--key", "k"], ["get", "agents"],
        ] {
            let result = try run(Host.ensign, arguments + ["--env", "prod"], in: host.work)
            #expect(result.status == 1 && result.output.isEmpty, "\(arguments): \(result.output)")
            #expect(
                result.errors.contains("git fetch origin 'refs/ensign/ledger/*:refs/ensign/ledger/*'"),
                "\(arguments)"
            )
        }
        let who = try host.ensignInWork("who-can", "crm.update", "--env", "prod")
        #expect(who.status == 0 && who.errors.contains("there is no ledger here to say what is live"))
        #expect(try host.ensignInWork("init", "--client").status == 0)
        try host.git("fetch", "-q")
        let live = try host.ensignInWork("get", "agents", "--env", "prod")
        #expect(live.status == 0 && live.errors.contains("as of entry 2 of"), "\(live.errors)")
        #expect(
            try host.ensignInWork("who-can", "crm.update", "--env", "prod").errors.contains(
                "from what is live, entry 2"
            )
        )
    }

    @Test("halt and resume in a clone say where to run them and how to do it from here, and not to make it a host")
    func halt() throws {
        let host = try Host(fleet: FleetFixture())
        for isClient in [false, true] {
            if isClient { try host.ensignInWork("init", "--client") }
            for verb in ["halt", "resume"] {
                let result = try host.ensignInWork(verb, "support/triage", "--env", "prod", "--reason", "x")
                #expect(result.status == 4, "\(result.errors)")
                #expect(result.errors.contains("by ssh: ensign \(verb) support/triage --env prod"))
                #expect(result.errors.contains("in \(FleetFixture.deploymentPath)") && !result.errors.contains("init"))
            }
        }
    }

    @Test("Every command of the host's says in a clone the command to run there", arguments: [false, true])
    func ofTheHost(_ isClient: Bool) throws {
        let host = try Host(fleet: FleetFixture())
        if isClient { try host.ensignInWork("init", "--client") }
        let agent = "support/triage"
        for (words, told) in [
            ("rollout pause \(agent) --env prod --reason x", nil),
            ("rollback \(agent) --env prod --now --reason x", nil),
            ("reconcile --env prod", nil),
            ("reconcile --env=prod --observe all -q", "reconcile --env prod --observe all"),
            ("watch", nil), ("watch --env prod --env dev", nil), ("keys --env prod --rotate", nil),
            ("keys --env prod --prepare", nil), ("-c ensign.branch=main reconcile --env prod", "reconcile --env prod"),
        ] {
            let result = try run(Host.ensign, words.split(separator: " ").map(String.init), in: host.work)
            #expect(result.status == 4, "\(words): \(result)")
            #expect(
                result.errors.contains("hint: on the host, by ssh: ensign \(told ?? words)\n"),
                "\(words): \(result)"
            )
            #expect(result.errors.contains("ensign init") == !isClient, "\(words): \(result)")
        }
        let quoted = try host.ensignInWork("rollout", "pause", agent, "--env", "prod", "--reason", "it's bad")
        #expect(quoted.errors.contains(#"--reason 'it'\''s bad'"#), "\(quoted)")
    }

    // MARK: Revisions

    @Test("A revision that git cannot resolve in time, and an entry of a ledger, are not fleets")
    func revisions() throws {
        let host = try Host(fleet: FleetFixture())
        for revision in ["main@{1 year ago}", "main@{2001-01-01}"] {
            let result = try host.ensignInWork("who-can", "crm.update", "--env", "prod", "--rev", revision)
            #expect(result.status == 64 && result.errors.contains("git cannot say what"), "\(result.errors)")
        }
        #expect(try host.ensignInWork("get", "agents", "--rev", "main@{0}").status == 0)
        #expect(try host.ensignInWork("get", "agents", "--rev", "@{upstream}").status == 0)
        for arguments in [
            ["get", "agents", "--rev"], ["who-can", "crm", "--env", "prod", "--rev"], ["plan", "--env", "prod"],
        ] {
            let result = try run(Host.ensign, arguments + ["refs/ensign/ledger/prod"], in: host.bare)
            #expect(
                result.status == 64 && result.errors.contains("is an entry of a ledger"),
                "\(arguments): \(result.errors)"
            )
        }
        // Nor is one a side of a comparison, however it is written.
        let (ref, branch) = ("refs/ensign/ledger/prod", "main")
        for side in [ref, try host.hostGit("rev-parse", ref), "\(ref)^", "\(ref)~1"] {
            for (one, other) in [(side, branch), (branch, side)] {
                let result = try host.ensign("diff", one, other)
                #expect(
                    result.status == 64 && result.errors.contains("'\(side)' is an entry of a ledger"),
                    "\(one) \(other): \(result.output)\(result.errors)"
                )
            }
        }
    }

    @Test("A tag that is called like a branch does not stand in its way")
    func tag() throws {
        let host = try Host(fleet: FleetFixture())
        try host.git("tag", "main")
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        let commit = try host.git("rev-parse", "refs/heads/main")
        let plan = try host.ensignInWork("plan", "main", "--env", "prod", "-o", "json")
        #expect(try (json(plan)["source"] as? [String: Any])?["commit"] as? String == commit)
        #expect(try host.ensignInWork("get", "agents", "--rev", "main", "-o", "json").output.contains(commit))
    }

    // MARK: promote

    @Test("promote does not take a version further that is quarantined or in a canary where it comes from")
    func promote() throws {
        let host = try Host(fleet: FleetFixture())
        let dev = "environments/dev/environment.yaml"
        try host.push(dev, "{mutableVersions: true}", "{mutableVersions: true, rollout: \(Self.canary)}")
        let next = "fleet/agents/support/triage/1.0.0"
        #expect(try run("cp", ["-r", next, "fleet/agents/support/triage/1.1.0"], in: host.work).status == 0)
        let deployment = FleetFixture.deploymentPath.replacingOccurrences(of: "prod", with: "dev")
        #expect(try run("cp", ["-r", "environments/prod/agents", "environments/dev/"], in: host.work).status == 0)
        try host.scratch.write("work/fleet/agents/support/triage/1.1.0/prompt.md", "Be quick.\n")
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "1.1.0, and dev")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        try host.push(deployment, "version: 1.0.0", "version: 1.1.0")
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let canary = try host.ensignInWork("promote", "support/triage", "--to", "prod")
        #expect(canary.status == 4 && canary.errors.contains("is in a canary there, at 20 %"), "\(canary.errors)")
        #expect(
            try host.ensign("rollout", "abort", "support/triage", "--env", "dev", "--reason", "it refunds everybody")
                .status == 0
        )
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let quarantined = try host.ensignInWork("promote", "support/triage", "--to", "prod")
        #expect(quarantined.status == 4)
        #expect(quarantined.errors.contains("'dev' runs 1.0.0: 1.1.0 is quarantined there"), "\(quarantined.errors)")
    }

    @Test("promote with nothing to promote says what really runs")
    func nothing() throws {
        let host = try canary()
        #expect(try host.ensign("rollout", "abort", "support/triage", "--env", "prod", "--reason", "bad").status == 0)
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let result = try host.ensignInWork("promote", "support/triage", "--to", "prod", "--version", "1.0.0")
        #expect(
            result.status == 0 && result.errors.contains("its files name the same versions already"),
            "\(result.errors)"
        )
    }
}
