import EnsignTestSupport
import Foundation
import Testing

/// When the record cannot be written, or others write at the same time.
extension HaltTests {
    enum Trouble: String, CaseIterable, Sendable { case key, locked }

    @Test(
        "Without the key, or with the ledger locked: halted at once, recorded when it can be",
        arguments: Trouble.allCases
    )
    func unrecordable(_ trouble: Trouble) throws {
        let host = try host()
        let manager = FileManager.default
        let (key, lock) = ("\(host.bare)/ensign/keys/prod", "\(host.bare)/refs/ensign/ledger/prod.lock")
        switch trouble {
        case .key: try manager.moveItem(atPath: key, toPath: key + ".away")
        case .locked: try manager.createDirectory(atPath: lock, withIntermediateDirectories: false)
        }
        let result = try halt(host, "support/triage")
        #expect(result.status == 0 && result.errors.contains("not recorded yet"), "\(result.errors)")
        #expect(isHalted(host))
        #expect(try pending(host))
        // Not drift, and no reconcile brings it back.
        #expect(try host.ensign("drift", "--env", "prod", "--detailed-exitcode").status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 1)
        #expect(isHalted(host))
        #expect(try host.ensign("status", "--env", "prod").errors.contains("is not on record yet"))
        switch trouble {
        case .key: try manager.moveItem(atPath: key + ".away", toPath: key)
        case .locked: try manager.removeItem(atPath: lock)
        }
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        let late = try #require(try evidence(host)["recordedLate"] as? [String: Any])
        let why = try #require(late["because"] as? String)
        #expect(why.contains(trouble == .key ? "the signing key of 'prod' is missing" : "lock"))
        #expect(isHalted(host))
        #expect(!(try pending(host)))
        try host.expectSound()
    }

    func faultShim(_ host: Host) throws -> String {
        let path = "\(host.scratch.path)/faults.so"
        let arguments = ["-shared", "-fPIC", "-O1", "-o", path, "\(Host.package)/Tests/Faults/faults.c", "-ldl"]
        try #require(try run("cc", arguments, in: host.scratch.path).status == 0)
        return path
    }

    @Test("With no room for anything the route is taken away, and the halt remembered all the same")
    func fullDisk() throws {
        let host = try host()
        let full = ["LD_PRELOAD": try faultShim(host), "FAULT_AT": "1", "FAULT_MODE": "full"]
        let result = try halt(host, "support/triage", environment: full)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("no room for halted routes"))
        #expect(!FileManager.default.fileExists(atPath: "\(host.live())/\(Self.triage)"))
        #expect(try pending(host))
        #expect(try host.ensign("reconcile", "--env", "prod", environment: full).status == 1)
        #expect(!FileManager.default.fileExists(atPath: "\(host.live())/\(Self.triage)"))
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(isHalted(host))
        #expect(try host.kinds().last == "halt")
        #expect(try evidence(host)["recordedLate"] != nil)
        try host.expectSound()
    }

    @Test("On a file system that is really full")
    func fullFileSystem() throws {
        let host = try host()
        // A mount of its own, which ends with the shell.
        let script = """
            set -e
            mount -t tmpfs -o size=8m none /mnt
            cp -a "$1" /mnt/fleet.git
            cat /dev/zero > /mnt/filler 2>/dev/null || true
            status=0
            "$2" halt support/triage --env prod --reason full --repo /mnt/fleet.git || status=$?
            echo "status $status"
            ls /mnt/fleet.git/ensign/live/prod/agents/support
            "$2" reconcile --env prod --repo /mnt/fleet.git || true
            "$2" status --env prod --repo /mnt/fleet.git | tail -1
            rm /mnt/filler
            "$2" reconcile --env prod --repo /mnt/fleet.git
            cat /mnt/fleet.git/ensign/live/prod/agents/support/triage.json
            "$2" verify --env prod --repo /mnt/fleet.git
            """
        let arguments = ["-m", "sh", "-c", script, "sh", host.bare, Host.ensign]
        let result = try run("unshare", arguments, in: host.scratch.path)
        // Only root may mount.
        if result.errors.contains("unshare failed") || result.errors.contains("permission denied") { return }
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect(result.output.contains("status 0\ndesk.json\n"), "\(result.output)\(result.errors)")
        #expect(String(decoding: Host.bare(Data(result.output.utf8)), as: UTF8.self).contains(Self.halted))
        #expect(result.output.contains("prod: intact, 4 entries"))
        #expect(result.output.contains("failed"), "\(result.output)\(result.errors)")
    }

    @Test("Killed anywhere, a halt that was remembered is carried out by the next reconcile")
    func killed() throws {
        let host = try host()
        let shim = try faultShim(host)
        var remembered = 0
        // The first of its calls remembers it.
        for step in 1...7 {
            let crash = try halt(
                host,
                "support/triage",
                environment: ["LD_PRELOAD": shim, "FAULT_AT": String(step), "FAULT_MODE": "kill"]
            )
            #expect(crash.status == 128 + 9)
            guard try pending(host) else { continue }
            remembered += 1
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
            #expect(isHalted(host))
            #expect(try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x").status == 0)
            #expect(!isHalted(host))
        }
        #expect(remembered == 6)
        try host.expectSound()
    }

    @Test("Reconciles that publish at the same time do not bring the agent back")
    func race() throws {
        let host = try host()
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        for round in 0..<5 {
            let maximum = 99 - round
            try host.edit(FleetFixture.deploymentPath, "maximum: \(maximum + 1)", "maximum: \(maximum)")
            try host.git("commit", "-q", "-a", "-m", "At most \(maximum)")
            try host.git("push", "-q", "origin", "main")
            let group = DispatchGroup()
            let bare = host.bare
            DispatchQueue.global().async(group: group) {
                _ = try? run(Host.ensign, ["reconcile", "--env", "prod"], in: bare)
            }
            usleep(UInt32(round) * 8_000)
            #expect(try halt(host, "support/triage").status == 0)
            for _ in 0..<20 {
                #expect(isHalted(host), "round \(round)")
                usleep(5_000)
            }
            group.wait()
            #expect(isHalted(host), "round \(round)")
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
            #expect(isHalted(host), "round \(round)")
            try host.expectSound()
            #expect(try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        }
        let log = try host.ensign("log", "--env", "prod", "--all", "--output", "json")
        #expect(!log.output.contains("\"kind\": \"drift\""), "our own halts are not drift")
    }

    @Test("Wherever a reconcile is when the halt comes, it goes on without the agent")
    func inTheMiddle() throws {
        let host = try host()
        let shim = try faultShim(host)
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        let copy = "\(host.scratch.path)/copy.git"
        let (pidFile, route) = ("\(host.scratch.path)/pid", "\(copy)/ensign/live/prod/\(Self.triage)")
        var partial = 0
        for step in stride(from: 4, through: 60, by: 8) {
            try? FileManager.default.removeItem(atPath: copy)
            try? FileManager.default.removeItem(atPath: pidFile)
            #expect(try run("cp", ["-a", host.bare, copy], in: host.scratch.path).status == 0)
            let group = DispatchGroup()
            let script =
                "echo $$ >\(pidFile); LD_PRELOAD=\(shim) FAULT_AT=\(step) FAULT_MODE=stop "
                + "exec \(Host.ensign) reconcile --env prod"
            DispatchQueue.global().async(group: group) { _ = try? run("sh", ["-c", script], in: copy) }
            var pid: pid_t = 0
            eventually(within: .seconds(10), "step \(step): it stops or ends") {
                let text = (try? String(contentsOfFile: pidFile, encoding: .utf8)) ?? ""
                pid = pid_t(text.trimmingCharacters(in: .newlines)) ?? 0
                guard pid > 0 else { return false }
                guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
                    return true
                }
                return status.contains(") T ") || status.contains(") Z ")
            }
            let isOver = !FileManager.default.fileExists(atPath: "/proc/\(pid)")
            let halting = ["halt", "support/triage", "--env", "prod", "--reason", "x"]
            DispatchQueue.global().async(group: group) { _ = try? run(Host.ensign, halting, in: copy) }
            eventually(within: .seconds(10), "step \(step): it is halted") {
                (try? said(route)) == Self.halted
            }
            if !isOver { kill(pid, SIGCONT) }
            group.wait()
            for _ in 0..<2 {
                #expect(try said(route) == Self.halted, "step \(step)")
                let again = try run(Host.ensign, ["reconcile", "--env", "prod"], in: copy)
                #expect(again.status == 0, "step \(step): \(again.errors)")
            }
            let verify = try run(Host.ensign, ["verify", "--env", "prod"], in: copy)
            #expect(verify.status == 0, "step \(step): \(verify.output)\(verify.errors)")
            let drift = try run(Host.ensign, ["drift", "--env", "prod", "--detailed-exitcode"], in: copy)
            #expect(drift.status == 0, "step \(step): \(drift.output)")
            let log = try run(Host.ensign, ["log", "--env", "prod", "--all", "--output", "json"], in: copy).output
            #expect(!log.contains("\"kind\": \"drift\""), "step \(step): our own halts are not drift")
            if log.contains("\"result\": \"partial\"") { partial += 1 }
            if isOver { break }
        }
        #expect(partial > 0, "some halts come between intent and outcome")
    }

    @Test("A record that cannot be read is told once and changes nothing else")
    func damaged() throws {
        let host = try host()
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(host.bare)/ensign/halts/prod"))
        try handle.seek(toOffset: 2_048)
        try handle.write(contentsOf: Data("Pgarbage".utf8))
        try handle.close()
        #expect(try halt(host, "support/triage").status == 0)
        #expect(isHalted(host))
        let first = try host.ensign("reconcile", "--env", "prod")
        #expect(first.status == 0)
        #expect(FileManager.default.fileExists(atPath: "\(host.bare)/ensign/halts/prod.damaged"))
        #expect(!(try host.ensign("reconcile", "--env", "prod").errors.contains("cannot be read")))
    }
}
