import EnsignTestSupport
import Foundation
import Testing

/// No input ends the process, and no environment's trouble is another's.
@Suite struct IsolationTests {
    private static let letter = "A" + String(repeating: "\u{301}", count: 40_000)

    private func commit(_ host: Host, author: String = "Ada", message: String = "Change") throws {
        let result = try run(
            "git",
            ["commit", "-q", "-a", "--no-verify", "-F", "-"],
            in: host.work,
            environment: ["GIT_AUTHOR_NAME": author],
            input: message
        )
        try #require(result.status == 0, "\(result.errors)")
    }

    // MARK: Texts of any size

    @Test(
        "An author's name of any size is recorded cut, in every environment",
        arguments: ["A\u{301}", "a\\\"", "\u{1F600}"]
    )
    func author(piece: String) throws {
        let name = piece + String(repeating: String(piece.unicodeScalars.suffix(1)), count: 20_000) + "z"
        let host = try Host(fleet: FleetFixture())
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.edit(
            "environments/dev/environment.yaml",
            "mutableVersions: true",
            "mutableVersions: true, keepFor: 8d"
        )
        try commit(host, author: name, message: "Change\n\n\(Self.letter)")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.status == 0 && push.errors.contains("prod: converged"), "\(push.errors.prefix(500))")
        #expect(try host.liveFiles() != [:])
        let source = try #require(try host.entry()["source"] as? [String: Any])
        let author = try #require(source["author"] as? String)
        #expect(author.hasSuffix("...") && author.utf8.count <= 500)
        for environment in ["dev", "prod"] {
            #expect(try host.ensign("reconcile", "--env", environment).status == 0)
            try host.expectSound(environment)
        }
        #expect(try host.ensign("status").status == 0)
        #expect(try host.ensign("log", "--env", "prod").status == 0)
    }

    @Test("A finding of any size is recorded cut; the last good state stays, and a status says so")
    func finding() throws {
        let host = try Host(fleet: FleetFixture())
        let before = try host.liveFiles()
        let key = "a" + String(repeating: "\u{301}", count: 50_000)
        try host.edit(FleetFixture.deploymentPath, "spec:", "spec:\n  ? \"\(key)\"\n  : 1")
        try commit(host)
        // Past the hook.
        try host.git("push", "-q", "origin", "HEAD:refs/heads/aside")
        try host.hostGit("update-ref", "refs/heads/main", "refs/heads/aside")
        for _ in 0..<2 {
            let result = try host.ensign("reconcile", "--env", "prod")
            #expect(result.status == 3, "\(result.errors.prefix(300))")
        }
        let entry = try host.entry()
        #expect(entry["kind"] as? String == "refused")
        #expect(try #require(entry["error"] as? String).utf8.count <= 2_000)
        #expect(try host.kinds().filter { $0 == "refused" }.count == 1)
        #expect(try host.liveFiles() == before)
        #expect(try host.ensign("status").output.contains("invalid"))
        #expect(try host.ensign("verify").status == 0)
    }

    @Test("A reason of any size halts, resumes and steers, and is kept cut")
    func reasons() throws {
        let host = try Host(fleet: FleetFixture())
        for words in [
            ["halt", "support/triage"], ["resume", "support/triage"], ["halt", "--all"], ["resume", "--all"],
        ] {
            let result = try run(
                Host.ensign,
                words + ["--env", "prod", "--reason", Self.letter],
                in: host.bare
            )
            #expect(result.status == 0, "\(words): \(result.errors.prefix(300))")
        }
        let size = try host.hostGit("cat-file", "-s", "refs/ensign/ledger/prod:entry.json")
        #expect(try #require(Int(size)) < 5_000)
        try host.expectSound()
    }

    // MARK: Ledgers that anybody can make

    /// Signs an entry with a key of its own and points a ledger at it.
    private func forge(_ environment: String, _ entry: [String: Any], in host: Host) throws {
        let key = "\(host.scratch.path)/key"
        if !FileManager.default.fileExists(atPath: key) {
            let made = try run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key], in: host.scratch.path)
            try #require(made.status == 0)
        }
        let line = try String(contentsOfFile: "\(key).pub", encoding: .utf8).split(separator: " ").prefix(2)
        var entry = entry
        entry["keys"] = [line.joined(separator: " ")]
        let data = try JSONSerialization.data(withJSONObject: entry, options: [.sortedKeys, .withoutEscapingSlashes])
        let json = String(decoding: data, as: UTF8.self) + "\n"
        func git(_ arguments: [String], input: String = "") throws -> String {
            let result = try run("git", arguments, in: host.bare, input: input)
            try #require(result.status == 0, "\(arguments): \(result.errors)")
            return result.output.trimmingCharacters(in: .newlines)
        }
        let blob = try git(["hash-object", "-w", "--stdin"], input: json)
        let tree = try git(["mktree"], input: "100644 blob \(blob)\tentry.json\n")
        let sum = try run("sha256sum", [], in: host.bare, input: json).output.prefix(64)
        let identity = "Ensign \(environment) <\(environment)@ensign.invalid> 1795251600 +0000"
        let payload = """
            tree \(tree)
            author \(identity)
            committer \(identity)

            \(environment): genesis

            Ensign-Seq: \(try #require(entry["seq"]))
            Ensign-Entry-SHA256: \(sum)

            """
        let file = try host.scratch.write("payload", payload)
        try? FileManager.default.removeItem(atPath: "\(file).sig")
        let signing = try run("ssh-keygen", ["-q", "-Y", "sign", "-f", key, "-n", "git", file], in: host.scratch.path)
        try #require(signing.status == 0, "\(signing.errors)")
        let signature = try host.scratch.read("payload.sig").split(separator: "\n").joined(separator: "\n ")
        let end = try #require(payload.range(of: "\n\n"))
        let text = payload[..<end.lowerBound] + "\ngpgsig \(signature)" + payload[end.lowerBound...]
        let commit = try git(["hash-object", "-t", "commit", "-w", "--stdin"], input: String(text))
        _ = try git(["update-ref", "refs/ensign/ledger/\(environment)", commit])
    }

    @Test(
        "Numbers at the end of 64 bits in a ledger are a broken ledger, and the others are looked at",
        arguments: [("seq", Int64.max), ("seq", .max - 1), ("agents", .max), ("agents", -1), ("seq", -1)]
    )
    func numbers(field: String, value: Int64) throws {
        let host = try Host(fleet: FleetFixture())
        let entry: [String: Any] = [
            "v": 1, "seq": field == "seq" ? value : 0, "kind": "genesis", "environment": "aaa", "previous": NSNull(),
            "source": NSNull(), "actor": ["host": "h", "mode": "hook", "name": "n", "version": "0.1.0"],
            "time": "2026-11-21T09:00:00Z", "reason": "genesis", "changes": [String](),
            "counts": ["agents": field == "agents" ? value : 0], "result": "ok", "error": NSNull(),
        ]
        try forge("aaa", entry, in: host)
        let verify = try host.ensign("verify")
        #expect(verify.status == 5, "\(verify)")
        #expect(verify.output.contains("aaa: broken at"), "\(verify.output)")
        #expect(verify.output.contains("prod: intact") && verify.output.contains("dev: intact"), "\(verify.output)")
        let keys = try host.ensign("keys")
        #expect(keys.status == 5 && keys.output.contains("prod@ensign.invalid"), "\(keys)")
        let status = try host.ensign("status")
        #expect(status.status == 5 && status.output.contains("prod"), "\(status)")
        for words in [
            ["log"], ["plan"], ["reconcile"], ["drift"], ["rollout", "status"], ["halt", "--all", "--reason", "x"],
        ] {
            let result = try run(Host.ensign, words + ["--env", "aaa"], in: host.bare)
            #expect(result.status < 128, "\(words): \(result.errors)")
        }
        // The fleet goes on.
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(push.status == 0 && push.errors.contains("prod: converged"), "\(push.errors)")
        try host.expectSound()
    }

    @Test("A ledger's ref that cannot be read is one environment's trouble")
    func unreadableRef() throws {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.bare)/refs/ensign/ledger/dev")
        _ = FileManager.default.createFile(atPath: "\(host.bare)/refs/ensign/ledger/dev", contents: Data())
        let verify = try host.ensign("verify")
        #expect(verify.status == 1 && verify.output.contains("prod: intact"), "\(verify)")
        #expect(verify.output.contains("dev: incomplete"), "\(verify)")
        let status = try host.ensign("status")
        #expect(status.status == 1 && status.output.contains("unreadable") && status.output.contains("ok"), "\(status)")
        let keys = try host.ensign("keys")
        #expect(keys.status == 1 && keys.output.contains("prod@ensign.invalid"), "\(keys)")
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(push.status == 0, "\(push.errors)")
        #expect(push.errors.contains("dev: its plan cannot be shown") && push.errors.contains("dev: failed"))
        #expect(push.errors.contains("prod: converged"), "\(push.errors)")
        try host.expectSound()
    }

    @Test("A watch goes on with the others when one environment cannot be reconciled or started")
    func watch() throws {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        _ = FileManager.default.createFile(atPath: "\(host.bare)/refs/ensign/ledger/dev", contents: Data())
        // Not a folder: nothing of this environment can be locked, claimed or read.
        let before = try host.digest("support/triage")
        let watch = try Background(Host.ensign, ["watch"], in: host.bare, log: "\(host.scratch.path)/watch.log")
        eventually(within: .seconds(20), "dev fails: \(watch.output)") { watch.output.contains("dev: failed") }
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        eventually(within: .seconds(20), "prod is live: \(watch.output)") {
            (try? host.digest("support/triage")) != before
        }
        #expect(try watch.stop() == 0)
    }
}
