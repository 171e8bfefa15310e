import EnsignTestSupport
import Foundation
import Testing

/// `ensign.notify`: everybody hears what matters, and nothing waits for it.
@Suite struct NotifyTests {
    private func host(_ command: String, timeout: String = "10s") throws -> Host {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.notify", command)
        try host.hostGit("config", "ensign.notifyTimeout", timeout)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        return host
    }

    /// Something to report: drift.
    private func disturb(_ host: Host, _ name: String = "rogue") throws {
        try host.scratch.write("fleet.git/ensign/live/prod/agents/support/\(name).json", "{}")
    }

    private func observe(_ host: Host) throws -> CommandResult {
        try host.ensign("reconcile", "--env", "prod", "--observe", "all", environment: ["FORGE_TOKEN": "s3cret"])
    }

    private func lines(_ path: String) -> [String] {
        ((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
    }

    @Test("The entry's JSON comes on standard input, once, and no secret with it")
    func delivers() throws {
        let host = try host("cat >>told; env >environment")
        #expect(lines("\(host.bare)/told").isEmpty, "what was before notify was set is not told")
        try disturb(host)
        #expect(try observe(host).status == 0)
        let told = lines("\(host.bare)/told")
        try #require(told.count == 1)
        let entry = try #require(try JSONSerialization.jsonObject(with: Data(told[0].utf8)) as? [String: Any])
        #expect(entry["kind"] as? String == "drift" && entry["environment"] as? String == "prod")
        #expect(entry["notices"] as? [String] == ["drift"])
        #expect(entry["subject"] as? String == "prod: drift, 1 file")
        let commit = try #require(entry["commit"] as? String)
        #expect(try host.entry(commit)["seq"] as? Int == entry["seq"] as? Int)
        let environment = try String(contentsOfFile: "\(host.bare)/environment", encoding: .utf8)
        #expect(environment.contains("ENSIGN_NOTICE=drift\n") && environment.contains("ENSIGN_SEQ="))
        #expect(!environment.contains("s3cret") && !environment.contains("\nGIT_"))
        #expect(try observe(host).status == 0)
        #expect(lines("\(host.bare)/told").count == 1)
    }

    @Test("A command that leaves something running has ended when it has ended")
    func background() throws {
        let host = try host("cat >>told; sleep 30 & exit 0", timeout: "5s")
        try disturb(host)
        #expect(try observe(host).status == 0)
        try disturb(host, "again")
        #expect(try observe(host).status == 0)
        #expect(lines("\(host.bare)/told").count == 2)
        #expect(try !host.ensign("status", "--env", "prod").errors.contains("notify"))
    }

    @Test("What a failing command says is shortened, and a pipe in place of the outbox is refused")
    func garbage() throws {
        let host = try host("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3")
        try disturb(host)
        let first = try observe(host)
        #expect(first.errors.contains("status 3: xxx") && first.errors.utf8.count < 2_000)
        let outbox = "\(host.bare)/ensign/outbox/prod"
        try FileManager.default.removeItem(atPath: outbox)
        let made = unsafe mkfifo(outbox, 0o600)
        try #require(made == 0)
        try disturb(host, "again")
        let second = try observe(host)
        #expect(second.errors.contains("outbox"), "\(second.errors)")
        try host.expectSound()
    }

    @Test("A command that fails is tried again by the next run, and status says so")
    func failing() throws {
        let host = try host("test -e works || { echo no route to host >&2; exit 7; }; cat >>told")
        try disturb(host)
        let first = try observe(host)
        #expect(first.status == 0 && first.errors.contains("status 7: no route to host"), "\(first.errors)")
        let status = try host.ensign("status", "--env", "prod").errors
        #expect(status.contains("notify: 1 entry waits; the command failed: status 7"), "\(status)")
        try host.scratch.write("fleet.git/works", "")
        try disturb(host, "again")
        #expect(try observe(host).status == 0)
        #expect(lines("\(host.bare)/told").count == 2)
        #expect(try !host.ensign("status", "--env", "prod").errors.contains("notify"))
    }

    @Test("A push does not wait for the command")
    func push() throws {
        let host = try host("until test -e pushed; do sleep 0.1; done; cat >>told", timeout: "60s")
        try disturb(host)
        // A new place for the live directory: all of it is drift.
        try host.hostGit("config", "ensign.prod.target", "directory:\(host.scratch.path)/live")
        let push = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(push.status == 0, "\(push.errors)")
        #expect(try host.kinds().contains("drift"))
        #expect(lines("\(host.bare)/told").isEmpty)
        try host.scratch.write("fleet.git/pushed", "")
        eventually(within: .seconds(20), "the command goes on by itself") { lines("\(host.bare)/told").count == 1 }
    }

    @Test("A command that hangs is killed with all that it started")
    func hanging() throws {
        let command = "sleep 600 & echo $! >sleeper; exec >&- 2>&-; trap '' TERM; wait; sleep 600"
        let host = try host(command, timeout: "2s")
        try disturb(host)
        let result = try observe(host)
        #expect(result.status == 0 && result.errors.contains("notify failed"), "\(result.errors)")
        #expect(result.errors.contains("no end in 2.0 seconds"), "\(result.errors)")
        let sleeper = try #require(lines("\(host.bare)/sleeper").first.flatMap { pid_t($0) })
        eventually(within: .seconds(5), "its child is gone") { kill(sleeper, 0) != 0 }
    }

    @Test("Many at once: the command never runs twice at the same time, and every entry is told")
    func oneAtATime() throws {
        let host = try host("mkdir running || echo overlap >>overlaps; cat >>told; sleep 0.1; rmdir running")
        try host.hostGit("config", "ensign.notify", "exit 1")
        for number in 1...4 {
            try disturb(host, "rogue\(number)")
            #expect(try observe(host).status == 0)
        }
        try host.hostGit(
            "config",
            "ensign.notify",
            "mkdir running || echo overlap >>overlaps; cat >>told; sleep 0.1; rmdir running"
        )
        DispatchQueue.concurrentPerform(iterations: 6) { _ in _ = try? host.ensign("notify", "--env", "prod") }
        #expect(lines("\(host.bare)/told").count == 4)
        #expect(lines("\(host.bare)/overlaps").isEmpty)
    }

    @Test("watch tries again by itself, and a command that hangs holds up neither it nor its end")
    func watch() throws {
        let host = try host("test -e works || exit 7; cat >>told; sleep 600")
        let watch = try Background(
            Host.ensign,
            ["watch", "--env", "prod", "--repo", host.bare],
            in: host.scratch.path,
            log: "\(host.scratch.path)/watch.log"
        )
        eventually(within: .seconds(10), watch.output) { watch.output.contains("watching prod") }
        try disturb(host)
        eventually(within: .seconds(10), watch.output) { watch.output.contains("notify failed") }
        try host.scratch.write("fleet.git/works", "")
        eventually(within: .seconds(10), watch.output) { lines("\(host.bare)/told").count == 1 }
        try disturb(host, "again")
        try eventually(within: .seconds(5), watch.output) { try host.kinds().filter { $0 == "drift" }.count == 2 }
        #expect(try watch.stop() == 0)
    }

    // MARK: The documentation's examples

    /// The scripts of docs/notify.md, with the places of the machine replaced.
    private func script(_ marker: String, _ places: [String: String], in host: Host) throws -> String {
        let page = try String(contentsOfFile: "\(Host.package)/docs/notify.md", encoding: .utf8)
        let blocks = page.components(separatedBy: "```sh\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
        var text = try #require(blocks.first { $0.contains(marker) })
        for (place, own) in places { text = text.replacingOccurrences(of: place, with: own) }
        let path = "\(host.scratch.path)/notify"
        try host.scratch.write("notify", text)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    @Test("The webhook of docs/notify.md reaches a server")
    func webhook() throws {
        let host = try host("true")
        let server = """
            import http.server, pathlib

            class Handler(http.server.BaseHTTPRequestHandler):
                def do_POST(self):
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                    pathlib.Path("posted").write_bytes(self.headers["Content-Type"].encode() + b"\\n" + body)
                    self.send_response(200)
                    self.end_headers()

            server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
            print("port", server.server_port, flush=True)
            server.serve_forever()
            """
        try host.scratch.write("server.py", server)
        let log = "\(host.scratch.path)/server.log"
        let hook = try Background("python3", ["server.py"], in: host.scratch.path, log: log)
        eventually(within: .seconds(10), hook.output) { hook.output.contains("port ") }
        let port = hook.output.split(separator: "\n")[0].dropFirst(5)
        try host.scratch.write("webhook.curl", "url = \"http://127.0.0.1:\(port)/services/T000\"\n")
        let places = ["/srv/ensign/webhook.curl": "\(host.scratch.path)/webhook.curl"]
        try host.hostGit("config", "ensign.notify", try script("curl --config", places, in: host))
        try disturb(host)
        let result = try observe(host)
        #expect(result.status == 0 && !result.errors.contains("notify"), "\(result.errors)")
        let posted = lines("\(host.scratch.path)/posted")
        _ = try hook.stop()
        try #require(posted.count == 2)
        #expect(posted[0] == "application/json")
        let body = try #require(try JSONSerialization.jsonObject(with: Data(posted[1].utf8)) as? [String: String])
        #expect(body["text"]?.hasPrefix("*prod: drift, 1 file* (drift)\n") == true, "\(body)")
    }

    @Test("The e-mail of docs/notify.md is one that sendmail takes")
    func mail() throws {
        let host = try host("true")
        try host.scratch.write("sendmail", "#!/bin/sh\necho \"$@\" >words\ncat >mail\n")
        let sendmail = "\(host.scratch.path)/sendmail"
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: sendmail)
        let path = try script("sendmail -i -t", ["/usr/sbin/sendmail": sendmail], in: host)
        try host.hostGit("config", "ensign.notify", path)
        try disturb(host)
        let result = try observe(host)
        #expect(result.status == 0 && !result.errors.contains("notify"), "\(result.errors)")
        #expect(lines("\(host.bare)/words") == ["-i -t"])
        let mail = try String(contentsOfFile: "\(host.bare)/mail", encoding: .utf8)
        #expect(mail.contains("To: oncall@example.com\r\n"))
        #expect(mail.contains("Subject: [drift] prod: drift, 1 file\r\n"))
        #expect(mail.contains("support/triage repair") || mail.contains("repair"))
    }
}
