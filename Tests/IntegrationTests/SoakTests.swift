import EnsignTestSupport
import Foundation
import Testing

/// Versions come from where they have been stable.
@Suite struct SoakTests {
    private let prod = "environments/prod/environment.yaml"
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"

    private func host(soak: String) throws -> Host {
        let host = try Host()
        let result = try host.push(prod, "promotesFrom: staging\n", "promotesFrom: staging\n  soak: \(soak)\n")
        #expect(result.status == 0, "\(result.errors)")
        return host
    }

    private func live(_ host: Host) throws -> String {
        String(decoding: try host.liveFile("agents/support/refund-triage.json"), as: UTF8.self)
    }

    @Test("A push of a version that has not been stable for long enough is refused, and accepted when it has")
    func refused() throws {
        let host = try host(soak: "1h")
        let refused = try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        #expect(refused.status != 0)
        #expect(refused.errors.contains("held, not proven yet"), "\(refused.errors)")
        #expect(refused.errors.contains("main: refused: support/refund-triage 1.5.0 is not proven"))
        #expect(refused.errors.contains("soak until"))
        // It is shown once, and begins nothing.
        #expect(refused.errors.components(separatedBy: "support/refund-triage  ").count == 2, "\(refused.errors)")
        #expect(refused.errors.contains("(1 of them held)"), "\(refused.errors)")
        #expect(!refused.errors.contains("through a canary"), "\(refused.errors)")
        #expect(try live(host).contains("1.4.0"))
        host.pass(seconds: 3_700)
        let accepted = try host.tryGit("push", "origin", "main")
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(try live(host).contains("1.5.0"))
        #expect(
            try host.ensign("log", "--env", "prod", "--output", "json").output.contains("stable in 'staging' since")
        )
    }

    @Test(
        "A stop in staging counts from when it is in effect, not from when it is on record",
        arguments: ["agent", "all"]
    )
    func haltedNotRecorded(_ scope: String) throws {
        let host = try host(soak: "0s")
        let lock = "\(host.bare)/refs/ensign/ledger/staging.lock"
        try FileManager.default.createDirectory(atPath: lock, withIntermediateDirectories: false)
        let named = scope == "all" ? "--all" : "support/refund-triage"
        let halt = try host.ensign("halt", named, "--env", "staging", "--reason", "leaks")
        #expect(halt.status == 0 && halt.errors.contains("not recorded yet"), "\(halt.errors)")
        let refused = try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        #expect(refused.status != 0 && refused.errors.contains("does not have that on record yet"), "\(refused.errors)")
        try FileManager.default.removeItem(atPath: lock)
        #expect(try host.ensign("reconcile", "--env", "staging").status == 0)
        #expect(try host.tryGit("push", "origin", "main").status != 0)
        #expect(try live(host).contains("1.4.0"))
    }

    @Test("A version that is not in staging at all is let in by an operator, with a reason, and by nobody else")
    func override() throws {
        let host = try host(soak: "0s")
        try host.edit("fleet/agents/support/refund-triage/next/prompt.md", "Read the ticket.", "Read the ticket twice.")
        #expect(try host.ensignInWork("release", "support/refund-triage", "1.6.0").status == 0)
        try host.edit(deployment, "version: 1.4.0", "version: 1.6.0")
        // Nor does a commit that loosens the rule for itself.
        try host.edit(prod, "  soak: 0s\n", "")
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "1.6.0 to prod")
        let refused = try host.tryGit("push", "origin", "main")
        #expect(refused.status != 0)
        #expect(refused.errors.contains("1.6.0 is not stable in 'staging'"), "\(refused.errors)")
        let agent = "support/refund-triage"
        #expect(
            try host.ensign("rollout", "override", agent, "--env", "prod", "--reason", "the fix").status == 4
        )
        let entered = try host.ensign(
            "rollout",
            "override",
            agent,
            "--version",
            "1.6.0",
            "--env",
            "prod",
            "--reason",
            "the fix"
        )
        #expect(entered.status == 0, "\(entered.errors)")
        #expect(try host.tryGit("push", "origin", "main").status == 0)
        #expect(try live(host).contains("1.6.0"))
        #expect(try host.ensign("log", "--env", "prod", "--output", "json").output.contains("without its soak, by"))
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    @Test("A ledger that another clone writes proves something only when the operator has named its first key")
    func foreign() throws {
        let host = try host(soak: "0s")
        let line = try host.ensign("keys", "--env", "staging").output
        let other = try host.ensign("keys", "--env", "dev").output
        // As on a host that has fetched the ledger and not its key.
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign/keys/staging")
        let refused = try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        #expect(refused.status != 0 && refused.errors.contains("ensign.staging.firstKey"), "\(refused.errors)")
        func key(_ line: String) -> String {
            line.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("AAAA") }.map(String.init) ?? ""
        }
        try host.hostGit("config", "ensign.staging.firstKey", "ssh-ed25519 \(key(other))")
        let wrong = try host.tryGit("push", "origin", "main")
        #expect(wrong.status != 0 && wrong.errors.contains("does not begin with the key"), "\(wrong.errors)")
        try host.hostGit("config", "ensign.staging.firstKey", "ssh-ed25519 \(key(line))")
        let right = try host.tryGit("push", "origin", "main")
        #expect(right.status == 0, "\(right.errors)")
        #expect(try live(host).contains("1.5.0"))
    }

    @Test("Where no hook refuses, the agent alone waits, and time lets it in")
    func waits() throws {
        let host = try host(soak: "1h")
        try host.edit(deployment, "version: 1.4.0", "version: 1.5.0")
        try host.git("commit", "-q", "-a", "-m", "1.5.0 to prod")
        // Past the hooks, as a clone of a forge gets it.
        try host.hostGit("fetch", "-q", host.work, "main:main")
        let waiting = try host.ensign("reconcile", "--env", "prod")
        #expect(waiting.status == 0, "\(waiting.errors)")
        #expect(waiting.output.contains("1.5.0 waits: soak until"), "\(waiting.output)")
        #expect((waiting.output + waiting.errors).components(separatedBy: "soak").count == 2, "\(waiting.output)")
        #expect(try live(host).contains("1.4.0"))
        let seen = try host.ensign("rollout", "status", "--env", "prod").output
        #expect(seen.contains("soaking") && seen.contains("soak until"))
        let entry = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        let again = try host.ensign("reconcile", "--env", "prod")
        #expect(again.status == 0)
        #expect(again.output.contains("stays as it is: 1.5.0 waits: soak until"), "\(again.output)")
        #expect(try host.hostGit("rev-parse", "refs/ensign/ledger/prod") == entry)
        host.pass(seconds: 3_700)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try live(host).contains("1.5.0"))
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    @Test(
        "A commit that asks for a version and takes the rule away waits, however often it is looked at; a later one may"
    )
    func forItself() throws {
        let host = try host(soak: "1h")
        try host.edit(deployment, "version: 1.4.0", "version: 1.5.0")
        try host.edit(prod, "  soak: 1h\n", "")
        try host.git("commit", "-q", "-a", "-m", "1.5.0 to prod, at once")
        try host.hostGit("fetch", "-q", host.work, "main:main")
        for _ in 1...3 {
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
            #expect(try live(host).contains("1.4.0"))
        }
        // Nor does a stop and its end.
        for verb in ["halt", "resume"] {
            let agent = "support/refund-triage"
            #expect(try host.ensign(verb, agent, "--env", "prod", "--reason", "look").status == 0)
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        }
        #expect(try live(host).contains("1.4.0"))
        let entry = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        // Nor does a commit that has nothing to do with it.
        try host.edit("fleet/teams/support.yaml", "spec:", "# A comment.\nspec:")
        try host.git("commit", "-q", "-a", "-m", "Say something")
        try host.hostGit("fetch", "-q", host.work, "main:main")
        for _ in 1...2 { #expect(try host.ensign("reconcile", "--env", "prod").status == 0) }
        #expect(try host.hostGit("rev-parse", "refs/ensign/ledger/prod") == entry)
        #expect(try host.ensign("verify", "--env", "prod").status == 0)

        try host.edit(prod, "promotesFrom: staging\n", "promotesFrom: staging\n  soak: 0s\n")
        try host.git("commit", "-q", "-a", "-m", "Order alone")
        try host.hostGit("fetch", "-q", host.work, "main:main")
        for _ in 1...2 { #expect(try host.ensign("reconcile", "--env", "prod").status == 0) }
        #expect(try live(host).contains("1.5.0"))
        #expect(try host.ensign("verify", "--env", "prod").status == 0)
    }

    @Test("An agent that was removed and comes back with less needs no soak: its version was stable here")
    func returns() throws {
        let host = try host(soak: "24h")
        let text = try String(contentsOfFile: "\(host.work)/\(deployment)", encoding: .utf8)
        try host.git("rm", "-q", deployment)
        try host.git("commit", "-q", "-m", "Retire it")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        #expect(!FileManager.default.fileExists(atPath: "\(host.live())/agents/support/refund-triage.json"))
        let less = text.replacingOccurrences(of: "amount: {maximum: 100}", with: "amount: {maximum: 50}")
        try FileManager.default.createDirectory(
            atPath: "\(host.work)/environments/prod/agents/support",
            withIntermediateDirectories: true
        )
        try less.write(toFile: "\(host.work)/\(deployment)", atomically: true, encoding: .utf8)
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "And back, with less")
        let back = try host.tryGit("push", "origin", "main")
        #expect(back.status == 0, "\(back.errors)")
        #expect(try live(host).contains("1.4.0"))
    }
}
