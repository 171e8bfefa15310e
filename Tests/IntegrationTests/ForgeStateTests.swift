import EnsignTestSupport
import Foundation
import Testing

/// What is known of a forge reaches whoever asks, and whoever has to know.
@Suite struct ForgeStateTests {
    private struct Set {
        var forge: Host
        var clone: String

        func reconcile() throws -> CommandResult { try ensign("reconcile", "--env", "prod") }

        func ensign(_ arguments: String...) throws -> CommandResult {
            try run(Host.ensign, arguments, in: clone)
        }

        func status() throws -> [String: Any] {
            let output = try ensign("status", "--env", "prod", "-o", "json").output
            let value = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
            return try #require((value?["environments"] as? [[String: Any]])?.first)
        }

        func hide() throws { try FileManager.default.moveItem(atPath: forge.bare, toPath: "\(forge.bare).away") }
        func show() throws { try FileManager.default.moveItem(atPath: "\(forge.bare).away", toPath: forge.bare) }
    }

    /// A plain repository with the small fleet, and a host that follows it and has reconciled once.
    private func make(_ fleet: FleetFixture = FleetFixture()) throws -> Set {
        let forge = try Host(fleet: fleet, pushes: false)
        try FileManager.default.removeItem(atPath: "\(forge.bare)/hooks")
        try forge.hostGit("config", "--unset-all", "receive.hideRefs")
        try forge.git("push", "-q", "origin", "main")
        let clone = "\(forge.scratch.path)/clone.git"
        #expect(try run("git", ["clone", "-q", "--bare", forge.bare, clone], in: forge.scratch.path).status == 0)
        for (key, value) in [("remote", "origin"), ("interval", "200ms")] {
            #expect(try run("git", ["config", "ensign.\(key)", value], in: clone).status == 0)
        }
        let set = Set(forge: forge, clone: clone)
        #expect(try set.ensign("init").status == 0)
        #expect(try set.reconcile().status == 0)
        return set
    }

    private func told(_ set: Set) -> [String] {
        let text = (try? String(contentsOfFile: "\(set.clone)/told", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    // MARK: status

    @Test("status says since when nothing could be fetched and git's own reason, and stops when it works again")
    func away() throws {
        let set = try make()
        let fine = try set.ensign("status", "--env", "prod")
        #expect(fine.output.contains("FETCHED") && fine.output.contains(#/prod .* ok\n/#), "\(fine.output)")
        let forge = try #require(try set.status()["forge"] as? [String: Any])
        #expect(forge["remote"] as? String == "origin" && forge["lastFetch"] is String)
        #expect(forge["fetchFailure"] is NSNull && forge["unpushed"] as? Int == 0)
        try set.hide()
        #expect(try set.reconcile().status == 1)
        let status = try set.ensign("status", "--env", "prod")
        #expect(status.output.contains(#/prod .* stale\n/#), "\(status.output)")
        #expect(status.errors.contains(#/prod: nothing was fetched from origin since 20.*: fatal: .*does not appear/#))
        // Only what is missing: there was nothing to push.
        #expect(!status.errors.contains("pushed"), "\(status.errors)")
        let failing = try set.status()
        #expect(
            failing["result"] as? String == "stale" && (failing["forge"] as? [String: Any])?["pushFailure"] is NSNull
        )
        let failure = try #require((failing["forge"] as? [String: Any])?["fetchFailure"] as? [String: Any])
        #expect(failure["attempts"] as? Int == 1 && failure["since"] is String)
        try set.show()
        #expect(try set.reconcile().status == 0)
        #expect(try set.status()["result"] as? String == "ok")
    }

    @Test("Where nothing is to be pushed a forge that cannot be pushed to lacks nothing; with the next entry it does")
    func nothingToPush() throws {
        let set = try make()
        #expect(try run("git", ["config", "remote.origin.pushurl", "/nowhere"], in: set.clone).status == 0)
        _ = try set.reconcile()
        let fine = try set.ensign("status", "--env", "prod")
        #expect(fine.output.contains(#/prod .* ok\n/#) && !fine.errors.contains("pushed"), "\(fine)")
        #expect(try set.ensign("halt", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        _ = try set.reconcile()
        let status = try set.ensign("status", "--env", "prod")
        #expect(status.output.contains(#/prod .* unpushed\n/#), "\(status.output)")
        #expect(status.errors.contains("prod: 1 entry is not pushed to origin since"), "\(status.errors)")
    }

    @Test("A forge that does not take the ledger is in the status, with its own words and what waits")
    func refused() throws {
        let set = try make()
        try set.forge.hostGit("config", "receive.hideRefs", "refs/ensign")
        #expect(try set.ensign("halt", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        let result = try set.reconcile()
        #expect(
            result.status == 1 && result.errors.contains("origin refuses it: [remote rejected]"),
            "\(result.errors)"
        )
        let status = try set.ensign("status", "--env", "prod")
        #expect(status.output.contains(#/prod .* unpushed\n/#))
        #expect(status.errors.contains("prod: 1 entry is not pushed to origin since"), "\(status.errors)")
    }

    @Test("A rollback branch that the forge does not take is in the status, with the words of its hook, until it does")
    func refusedBranch() throws {
        let set = try make(GoingBackTests().fleet(canary: false))
        let hook = "\(set.forge.bare)/hooks/pre-receive"
        try FileManager.default.createDirectory(atPath: "\(set.forge.bare)/hooks", withIntermediateDirectories: true)
        try Data(
            "#!/bin/sh\nwhile read -r old new ref; do case $ref in refs/heads/ensign/*) echo people make branches >&2; exit 1;; esac; done\n"
                .utf8
        ).write(to: URL(fileURLWithPath: hook))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: hook)
        try set.forge.push(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0")
        #expect(try set.reconcile().status == 0)
        let back = try set.ensign("rollback", "support/triage", "--env", "prod", "--now", "--reason", "bad")
        #expect(back.status == 0, "\(back.errors)")
        #expect(back.errors.contains("could not be pushed to origin"), "\(back.errors)")
        let reconcile = try set.reconcile()
        #expect(reconcile.status == 1 && reconcile.errors.contains("people make branches"), "\(reconcile.errors)")
        let status = try set.ensign("status", "--env", "prod")
        #expect(status.output.contains(#/prod .* unpushed\n/#), "\(status.output)")
        #expect(
            status.errors.contains(
                #/prod: since 20.* ensign/rollback/prod/support/triage could not be pushed to origin: .*: people make branches/#
            ),
            "\(status.errors)"
        )
        let forge = try #require(try set.status()["forge"] as? [String: Any])
        #expect(forge["pushFailure"] is NSNull)
        #expect((forge["branchFailure"] as? [String: Any])?["attempts"] as? Int == 2)
        try FileManager.default.removeItem(atPath: hook)
        #expect(try set.reconcile().status == 0)
        #expect(try set.status()["result"] as? String == "ok")
    }

    @Test("Two hosts on one ledger: the one that lost is told that another host has written it")
    func twoHosts() throws {
        let set = try make()
        let other = Set(forge: set.forge, clone: "\(set.clone).other")
        #expect(try run("cp", ["-a", set.clone, other.clone], in: "/").status == 0)
        #expect(try set.ensign("halt", "support/triage", "--env", "prod", "--reason", "mine").status == 0)
        #expect(try set.reconcile().status == 0)
        #expect(try other.ensign("halt", "support/triage", "--env", "prod", "--reason", "also").status == 0)
        let lost = try other.reconcile()
        #expect(lost.status == 1 && lost.errors.contains("another host has written this ledger"), "\(lost.errors)")
        #expect(try other.ensign("status").errors.contains("prod: 1 entry is not pushed to origin since"))
        #expect(try other.status()["result"] as? String == "unpushed")
        #expect(try set.status()["result"] as? String == "ok")
    }

    // MARK: The watch and notices

    @Test("A watch says once that fetching fails and once that it works again, and so does notify")
    func watch() throws {
        let set = try make()
        #expect(try run("git", ["config", "ensign.notify", "cat >>told"], in: set.clone).status == 0)
        #expect(try set.reconcile().status == 0)
        let log = "\(set.forge.scratch.path)/watch.log"
        let pushed = "\(set.clone)/ensign/forge/prod"
        try FileManager.default.removeItem(atPath: pushed)
        let watch = try Background(Host.ensign, ["watch", "--env", "prod"], in: set.clone, log: log)
        eventually(within: .seconds(10), watch.output) { FileManager.default.fileExists(atPath: pushed) }
        try set.hide()
        eventually(within: .seconds(10), watch.output) { told(set).count == 1 }
        try set.show()
        eventually(within: .seconds(10), watch.output) { told(set).count == 2 }
        #expect(try watch.stop() == 0)
        let lines = watch.output.split(separator: "\n")
        #expect(lines.count { $0.contains("fetch failed: fatal: ") } == 1, "\(watch.output)")
        #expect(lines.count { $0.contains("fetching works again; it had failed since") } == 1)
        let notices = try told(set).map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        try #require(notices.count == 2)
        #expect(notices.map { $0["notices"] as? [String] } == [["forge"], ["forge"]])
        #expect(try #require(notices[0]["error"] as? String).contains("nothing was fetched from origin"))
        #expect(notices[1]["subject"] as? String == "prod: origin works again" && notices[1]["error"] is NSNull)
        #expect(Swift.Set(notices.compactMap { $0["id"] as? String }).count == 2)
        // A watch that is stopped before it has noted that the command ended leaves the last one to be given again.
        _ = try set.ensign("notify", "--env", "prod")
        #expect(try set.ensign("notify", "--env", "prod").errors.contains("0 delivered"))
    }

    @Test("A second watch says that it is one; a watch whose repository is gone ends with an error and makes nothing")
    func gone() throws {
        let host = try Host(fleet: FleetFixture())
        let first = try Background(Host.ensign, ["watch"], in: host.bare, log: "\(host.scratch.path)/first.log")
        eventually(within: .seconds(10), first.output) { first.output.contains(" watching ") }
        #expect(!first.output.contains("another watch"))
        let second = try Background(Host.ensign, ["watch"], in: host.bare, log: "\(host.scratch.path)/second.log")
        eventually(within: .seconds(10), second.output) { second.output.contains(" watching ") }
        #expect(second.output.contains("prod: another watch looks after it already"), "\(second.output)")
        #expect(try second.stop() == 0)
        try FileManager.default.moveItem(atPath: host.bare, toPath: "\(host.bare).moved")
        eventually(within: .seconds(10), first.output) { first.output.contains("is gone") }
        #expect(try first.stop() == 1)
        #expect(first.output.contains(#/error: the repository at .*fleet\.git\/ is gone/#), "\(first.output)")
        #expect(!FileManager.default.fileExists(atPath: host.bare))
    }

    // MARK: The author

    @Test("The author of a refused commit reads in a clone that the host refused it, and why")
    func author() throws {
        let set = try make()
        try set.forge.push(FleetFixture.deploymentPath, "maximum: 100", "maximun: 100")
        #expect(try set.reconcile().status == 3)
        try set.forge.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let status = try set.forge.ensignInWork("status", "--env", "prod")
        #expect(status.status == 0 && status.output.contains(#/prod .* refused\n/#), "\(status.output)")
        #expect(
            status.errors.contains(#/prod: the host refused [0-9a-f]{10} \(entry 3, .*\): invalid: 1 error; .*maximun/#)
        )
        let json = try set.forge.ensignInWork("status", "--env", "prod", "-o", "json").output
        #expect(json.contains(#""kind": "refused""#) && json.contains(#""refused": {"#))
        let plan = try set.forge.ensignInWork("plan", "--env", "prod")
        #expect(plan.status == 3 && plan.errors.contains("prod: the host refused"), "\(plan.errors)")
        // What mends it is not refused.
        try set.forge.push(FleetFixture.deploymentPath, "maximun: 100", "maximum: 100")
        #expect(try !set.forge.ensignInWork("status", "--env", "prod").errors.contains("the host refused"))
    }

    @Test("Beside a watch the pusher reads what was done, by whom, and as which entry")
    func pusher() throws {
        let host = try Host(fleet: FleetFixture())
        let watch = try Background(Host.ensign, ["watch"], in: host.bare, log: "\(host.scratch.path)/watch.log")
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        let hook = "\(host.bare)/hooks/post-receive"
        let text = try String(contentsOfFile: hook, encoding: .utf8)
        // The watch gets its turn first, as it does on a machine with more to do.
        let slow = text.replacing("exec ", with: "sleep 2; exec ", maxReplacements: 1)
        #expect(slow != text)
        try slow.write(toFile: hook, atomically: false, encoding: .utf8)
        let pushed = try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        #expect(pushed.errors.contains("prod: support/triage updated 1.0.0"), "\(pushed.errors)")
        #expect(pushed.errors.contains(#/prod: applied by watch as entry \d+ \(/#), "\(pushed.errors)")
        #expect(pushed.errors.contains("dev: nothing to do"), "\(pushed.errors)")
        #expect(try watch.stop() == 0)
    }
}
