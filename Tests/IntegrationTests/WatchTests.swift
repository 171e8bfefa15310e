import EnsignTestSupport
import Foundation
import Testing

/// `ensign watch`: from a change to a converged fleet, without anybody asking.
@Suite struct WatchTests {
    private static let route = "agents/support/triage.json"
    /// What nobody should ever wait for; the usual time is a twentieth of it.
    private static let soon = Duration.seconds(2)

    /// A host that is pushed to, without the hook that would converge it.
    private func host(pushes: Bool = true) throws -> Host {
        let host = try Host(fleet: FleetFixture(), pushes: pushes)
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        return host
    }

    /// Starts `ensign watch` in a repository, and waits until it watches.
    private func watch(_ repository: String, _ name: String = "watch", in host: Host) throws -> Background {
        let log = "\(host.scratch.path)/\(name).log"
        let watch = try Background(Host.ensign, ["watch"], in: repository, log: log)
        eventually(within: .seconds(10), watch.output) { watch.output.contains(" watching ") }
        return watch
    }

    /// The source commit of an environment's newest entry; nil when there is none.
    private func source(_ repository: String, _ environment: String = "prod") throws -> String? {
        let result = try run(
            "git",
            ["rev-parse", "--verify", "-q", "refs/ensign/ledger/\(environment)^2"],
            in: repository
        )
        return result.status == 0 ? result.output.trimmingCharacters(in: .newlines) : nil
    }

    private func push(_ host: Host, maximum: Int) throws -> String {
        let path = "\(host.work)/\(FleetFixture.deploymentPath)"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try text.replacing(/maximum: \d+/, with: "maximum: \(maximum)").write(
            toFile: path,
            atomically: true,
            encoding: .utf8
        )
        try host.git("commit", "-q", "-a", "-m", "At most \(maximum)")
        try host.git("push", "-q", "origin", "main")
        return try host.git("rev-parse", "HEAD")
    }

    @Test("A moved branch is live soon, SIGTERM ends it with 0, and the status file says who did it")
    func movedBranch() throws {
        let host = try host()
        let watch = try watch(host.bare, in: host)
        try eventually(within: .seconds(5), watch.output) { try source(host.bare) != nil }
        let commit = try push(host, maximum: 90)
        let time = try eventually(within: .seconds(10), watch.output) { try source(host.bare) == commit }
        #expect(time < Self.soon)
        #expect(try watch.stop() == 0)
        #expect(watch.output.contains("prod: support/triage updated 1.0.0"))
        #expect(watch.output.hasSuffix(" stopped\n"))
        let status = try String(contentsOfFile: "\(host.bare)/ensign/status/prod.json", encoding: .utf8)
        #expect(status.contains("\"mode\":\"watch\""))
        #expect(status.contains("\"result\":\"ok\""))
        try host.expectSound()
    }

    @Test("It waits for the first push, and for environments that come later")
    func firstPush() throws {
        let host = try host(pushes: false)
        let watch = try watch(host.bare, in: host)
        #expect(watch.output.contains("watching for the first environment"))
        try host.git("push", "-q", "origin", "main")
        try eventually(within: Self.soon, watch.output) { try source(host.bare) != nil }
        let text = "apiVersion: ensign.dev/v1\nkind: Environment\nspec: {}\n"
        try host.scratch.write("work/environments/later/environment.yaml", text)
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Another environment")
        try host.git("push", "-q", "origin", "main")
        try eventually(within: Self.soon, watch.output) { try source(host.bare, "later") != nil }
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    enum Tampering: String, CaseIterable, Sendable {
        case edited, removed, added, mode, folderRemoved, folderAdded, header
    }

    @Test(
        "What somebody changes in the live directory is repaired at once, without a push",
        arguments: Tampering.allCases
    )
    func repairs(_ tampering: Tampering) throws {
        let host = try host()
        let watch = try watch(host.bare, in: host)
        try eventually(within: .seconds(5), watch.output) {
            try source(host.bare) != nil && FileManager.default.fileExists(atPath: "\(host.live())/fleet.json")
        }
        // Its own writes are events too: the run that they cause must not be the one that repairs.
        usleep(200_000)
        let before = try host.liveFiles()
        let path = "\(host.live())/\(Self.route)"
        let manager = FileManager.default
        switch tampering {
        case .edited: try Data("{}".utf8).write(to: URL(fileURLWithPath: path))
        case .removed: try manager.removeItem(atPath: path)
        case .added: try host.scratch.write("fleet.git/ensign/live/prod/agents/support/rogue.json", "{}")
        case .mode: try manager.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        // Folders go and come whole at once: what is half gone, or half there, would be repaired under the hands of the test.
        case .folderRemoved:
            try manager.moveItem(atPath: "\(host.live())/agents", toPath: "\(host.scratch.path)/agents")
            try manager.removeItem(atPath: "\(host.scratch.path)/agents")
        case .folderAdded:
            try host.scratch.write("rogue/deep/a.json", "{}")
            try manager.moveItem(atPath: "\(host.scratch.path)/rogue", toPath: "\(host.live())/agents/rogue")
        case .header: try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(host.live())/fleet.json"))
        }
        var expected = before
        expected["fleet.json"] = nil
        let time = try eventually(within: .seconds(10), watch.output) {
            var found = try host.liveFiles()
            let header = found.removeValue(forKey: "fleet.json")
            let mode = try? manager.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            return found == expected && header != before["fleet.json"] && header?.count ?? 0 > 10 && mode == 0o644
        }
        #expect(time < Self.soon)
        #expect(try watch.stop() == 0)
        #expect(watch.output.contains("prod: repaired "))
        #expect(try host.kinds().suffix(3) == ["drift", "intent", "outcome"])
        try host.expectSound()
    }

    @Test("What is changed again and again is repaired less often, and neither a push nor the end of it waits for that")
    func restless() throws {
        let host = try host()
        let watch = try watch(host.bare, in: host)
        try eventually(within: .seconds(5), watch.output) {
            try source(host.bare) != nil && FileManager.default.fileExists(atPath: "\(host.live())/fleet.json")
        }
        let route = URL(fileURLWithPath: "\(host.live())/\(Self.route)")
        let before = try host.kinds().count
        let end = ContinuousClock.now + .seconds(6)
        while ContinuousClock.now < end {
            try Data("{}".utf8).write(to: route)
            usleep(5_000)
        }
        // Three at once, then after 1, 2 and 4 seconds, and what was under way: not a hundred.
        #expect(try host.kinds().count - before < 30)
        #expect(watch.output.contains("changed again and again"), "\(watch.output)")
        let pushed = try push(host, maximum: 71)
        try eventually(within: .seconds(5), watch.output) { try source(host.bare) == pushed }
        try eventually(within: .seconds(15), watch.output) {
            try Data(contentsOf: route).count > 10 && host.ensign("drift", "--env", "prod").status == 0
        }
        #expect(try watch.stop() == 0)
        try host.expectSound()
    }

    @Test("One environment that fails, by its manifests or its directory, does not stop the others")
    func oneFails() throws {
        let host = try host()
        try host.hostGit("config", "ensign.dev.target", "directory:\(host.scratch.path)/occupied")
        try host.scratch.write("occupied", "a file where the live directory belongs\n")
        let watch = try watch(host.bare, in: host)
        try eventually(within: .seconds(5), watch.output) { try source(host.bare) != nil }
        eventually(within: .seconds(5), watch.output) { watch.output.contains("dev: failed") }
        // Past the hook, a manifest of dev that is wrong.
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        try host.scratch.write("work/environments/dev/environment.yaml", "apiVersion: ensign.dev/v1\nkind: Nonsense\n")
        let bad = try push(host, maximum: 70)
        try eventually(within: Self.soon, watch.output) { try source(host.bare) == bad }
        // Both mended: dev catches up without a restart.
        try FileManager.default.removeItem(atPath: "\(host.scratch.path)/occupied")
        try host.git("checkout", "-q", "HEAD~1", "--", "environments/dev/environment.yaml")
        let good = try push(host, maximum: 60)
        try eventually(within: .seconds(5), watch.output) {
            try source(host.bare) == good && source(host.bare, "dev") == good
        }
        #expect(try watch.stop() == 0)
        for environment in ["dev", "prod"] { try host.expectSound(environment) }
    }

    @Test("Two watchers at once do everything once")
    func two() throws {
        let host = try host()
        let watchers = try ["one", "two"].map { try watch(host.bare, $0, in: host) }
        for maximum in [90, 80, 70] {
            let commit = try push(host, maximum: maximum)
            try eventually(within: .seconds(5), watchers.map(\.output).joined()) { try source(host.bare) == commit }
        }
        for watcher in watchers { #expect(try watcher.stop() == 0, "\(watcher.output)") }
        #expect(
            try host.kinds() == ["genesis", "intent", "outcome"] + ["intent", "outcome", "intent", "outcome"]
                + ["intent", "outcome"]
        )
        try host.expectSound()
    }

    // MARK: A clone of a forge

    /// A host that follows `host.bare` as its forge, which knows nothing of Ensign.
    private func clone(of host: Host, _ name: String = "clone.git") throws -> String {
        let clone = "\(host.scratch.path)/\(name)"
        #expect(try run("git", ["clone", "-q", "--bare", host.bare, clone], in: host.scratch.path).status == 0)
        for (key, value) in [("remote", "origin"), ("interval", "100ms"), ("environments", "prod")] {
            #expect(try run("git", ["config", "ensign.\(key)", value], in: clone).status == 0)
        }
        #expect(try run(Host.ensign, ["init"], in: clone).status == 0)
        return clone
    }

    /// A plain repository with the small fleet: what a forge is.
    private func forge() throws -> Host {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks")
        try host.hostGit("config", "--unset-all", "receive.hideRefs")
        try host.git("push", "-q", "origin", "main")
        return host
    }

    @Test("A clone of a forge picks up what is pushed there, and pushes its ledger back")
    func forgeIsFollowed() throws {
        let forge = try forge()
        let clone = try clone(of: forge)
        let watch = try watch(clone, in: forge)
        for maximum in [100, 90, 80] {
            let commit = maximum == 100 ? try forge.git("rev-parse", "HEAD") : try push(forge, maximum: maximum)
            let time = try eventually(within: .seconds(10), watch.output) { try source(clone) == commit }
            #expect(time < Self.soon)
            try eventually(within: Self.soon, watch.output) { try source(forge.bare) == commit }
        }
        #expect(try watch.stop() == 0)
        let verify = try run(Host.ensign, ["verify"], in: forge.bare)
        #expect(verify.output.hasPrefix("prod: intact, 7 entries"))
        // A rebuilt host with the old key goes on where the forge's ledger ends.
        let rebuilt = try self.clone(of: forge, "rebuilt.git")
        let moving = try run("cp", ["-a", "\(clone)/ensign/keys", "\(rebuilt)/ensign/"], in: forge.scratch.path)
        #expect(moving.status == 0)
        let second = try self.watch(rebuilt, "second", in: forge)
        let commit = try push(forge, maximum: 70)
        try eventually(within: .seconds(5), second.output) { try source(forge.bare) == commit }
        #expect(try second.stop() == 0)
        #expect(try run(Host.ensign, ["verify"], in: rebuilt).output.hasPrefix("prod: intact"))
    }

    @Test("Somebody else's ledger at the forge is an alarm; it is never overwritten, here or there")
    func forgeHasAnotherLedger() throws {
        let forge = try forge()
        let clone = try clone(of: forge)
        let watch = try watch(clone, in: forge)
        let first = try forge.git("rev-parse", "HEAD")
        try eventually(within: .seconds(5), watch.output) { try source(forge.bare) == first }
        let other = try LedgerCopy()
        try other.git("push", "-q", "--force", forge.bare, "\(LedgerCopy.ref):\(LedgerCopy.ref)")
        let commit = try push(forge, maximum: 90)
        try eventually(within: .seconds(5), watch.output) {
            try source(clone) == commit && watch.output.contains("the ledger could not be pushed to origin")
        }
        #expect(try watch.stop() == 0)
        #expect(try forge.hostGit("rev-parse", LedgerCopy.ref) == other.tip)
        #expect(try run(Host.ensign, ["verify"], in: clone).output.hasPrefix("prod: intact, 5 entries"))
    }

    @Test("A fresh host that finds somebody else's ledger at the forge stops: it has not the key")
    func freshHostWithoutKey() throws {
        let forge = try forge()
        let other = try LedgerCopy()
        try other.git("push", "-q", forge.bare, "\(LedgerCopy.ref):\(LedgerCopy.ref)")
        let clone = try clone(of: forge)
        let watch = try watch(clone, in: forge)
        eventually(within: .seconds(5), watch.output) { watch.output.contains("prod: failed") }
        #expect(try watch.stop() == 0)
        #expect(try forge.hostGit("rev-parse", LedgerCopy.ref) == other.tip)
        #expect(!FileManager.default.fileExists(atPath: "\(clone)/ensign/live/prod"))
        let status = try run(Host.ensign, ["status", "--output", "json"], in: clone)
        #expect(status.output.contains("\"result\": \"failed\""))
    }

    @Test("A forge that does not answer changes nothing, and is tried again")
    func forgeIsAway() throws {
        let forge = try forge()
        let clone = try clone(of: forge)
        let away = "\(forge.bare).away"
        let watch = try watch(clone, in: forge)
        try eventually(within: .seconds(5), watch.output) { try source(forge.bare) != nil }
        try FileManager.default.moveItem(atPath: forge.bare, toPath: away)
        eventually(within: .seconds(5), watch.output) { watch.output.contains("fetch failed") }
        try FileManager.default.moveItem(atPath: away, toPath: forge.bare)
        let commit = try push(forge, maximum: 90)
        try eventually(within: .seconds(5), watch.output) { try source(forge.bare) == commit }
        #expect(try watch.stop() == 0)
        #expect(try run(Host.ensign, ["verify"], in: clone).output.hasPrefix("prod: intact"))
    }
}
