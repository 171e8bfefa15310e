import EnsignTestSupport
import Foundation
import Testing

/// A clone of a forge that a timer reconciles: no daemon.
@Suite struct ForgeTests {
    private static let ledger = "refs/ensign/ledger/prod"

    /// A plain repository with the small fleet: what a forge is.
    private func forge() throws -> Host {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks")
        try host.hostGit("config", "--unset-all", "receive.hideRefs")
        try host.git("push", "-q", "origin", "main")
        return host
    }

    private func clone(of host: Host, _ name: String = "clone.git") throws -> (path: String, said: String) {
        let clone = "\(host.scratch.path)/\(name)"
        #expect(try run("git", ["clone", "-q", "--bare", host.bare, clone], in: host.scratch.path).status == 0)
        #expect(try run("git", ["config", "ensign.remote", "origin"], in: clone).status == 0)
        let result = try run(Host.ensign, ["init"], in: clone)
        #expect(result.status == 0)
        return (clone, result.output)
    }

    private func reconcile(_ clone: String, _ more: String...) throws -> CommandResult {
        try run(Host.ensign, ["reconcile", "--env", "prod"] + more, in: clone)
    }

    private func tip(_ repository: String) throws -> String {
        try run("git", ["rev-parse", "-q", "--verify", Self.ledger], in: repository).output
    }

    @Test("init there ends with what to do next, and reconcile fetches the branch and pushes the ledger")
    func timer() throws {
        let forge = try forge()
        let (clone, said) = try clone(of: forge)
        #expect(said.contains("Next: 'ensign watch' follows origin"), "\(said)")
        let first = try reconcile(clone)
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.errors.contains("fetched main from origin: "))
        #expect(first.errors.contains("prod: the ledger is pushed to origin"))
        #expect(try !tip(clone).isEmpty && tip(clone) == tip(forge.bare))
        try forge.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        let offline = try reconcile(clone, "--offline")
        #expect(offline.errors.contains("nothing to do, at entry 2") && !offline.errors.contains("origin"))
        let second = try reconcile(clone)
        #expect(second.output.contains("support/triage updated 1.0.0"))
        #expect(try tip(clone) == tip(forge.bare))
        let third = try reconcile(clone)
        #expect(third.status == 0 && !third.errors.contains("pushed"), "\(third.errors)")
    }

    @Test(
        "git's pruning takes no ledger from the host where the forge was moved",
        arguments: ["fetch", "remote.origin"]
    )
    func pruned(_ setting: String) throws {
        let forge = try forge()
        let clone = try clone(of: forge).path
        #expect(try reconcile(clone).status == 0)
        let before = try tip(clone)
        #expect(try run("git", ["config", "\(setting).prune", "true"], in: clone).status == 0)
        try forge.hostGit("update-ref", "-d", Self.ledger)
        let result = try reconcile(clone)
        #expect(result.status == 0 && result.errors.contains("the ledger is pushed to origin"), "\(result.errors)")
        #expect(try tip(clone) == before && tip(forge.bare) == before)
    }

    @Test("A clone that was made as a mirror pushes the ledger alone, and asks no hook for people who push")
    func mirror() throws {
        let forge = try forge()
        let clone = try clone(of: forge).path
        #expect(try run("git", ["config", "remote.origin.mirror", "true"], in: clone).status == 0)
        try forge.scratch.write("clone.git/hooks/pre-push", "#!/bin/sh\nexit 1\n")
        #expect(unsafe chmod("\(clone)/hooks/pre-push", 0o755) == 0)
        let result = try reconcile(clone)
        #expect(result.status == 0 && result.errors.contains("the ledger is pushed to origin"), "\(result.errors)")
        #expect(
            try run("git", ["for-each-ref", "--format=%(refname)"], in: forge.bare).output
                == "refs/ensign/ledger/prod\nrefs/heads/main\n"
        )
    }

    @Test("A developer's clone says that git's pruning makes it no witness")
    func prunedWitness() throws {
        let forge = try forge()
        let work = "\(forge.scratch.path)/developer"
        #expect(try run("git", ["clone", "-q", forge.bare, work], in: forge.scratch.path).status == 0)
        #expect(try !run(Host.ensign, ["init", "--client"], in: work).errors.contains("prune"))
        #expect(try run("git", ["config", "fetch.prune", "true"], in: work).status == 0)
        let warned = try run(Host.ensign, ["init", "--client"], in: work)
        #expect(warned.errors.contains("git config remote.origin.prune false"), "\(warned.errors)")
        #expect(try run("git", ["config", "remote.origin.prune", "false"], in: work).status == 0)
        #expect(try !run(Host.ensign, ["init", "--client"], in: work).errors.contains("prune"))
    }

    @Test("A push to the host's own branch is told that the host follows another one, and no plan is promised")
    func ownBranch() throws {
        let forge = try forge()
        let clone = try clone(of: forge).path
        #expect(try reconcile(clone).status == 0)
        let before = try tip(clone)
        try forge.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try forge.git("commit", "-q", "-a", "-m", "Less")
        let push = try forge.tryGit("push", clone, "HEAD:refs/heads/main")
        #expect(push.status == 0, "\(push.errors)")
        #expect(push.errors.contains("main: this host follows 'main' of 'origin', not its own"), "\(push.errors)")
        #expect(!push.errors.contains("Plan:"), "\(push.errors)")
        #expect(try tip(clone) == before)
    }

    @Test("A forge that does not answer is said, the rest is done, and the status is 1")
    func away() throws {
        let forge = try forge()
        let clone = try clone(of: forge).path
        #expect(try reconcile(clone).status == 0)
        try FileManager.default.moveItem(atPath: forge.bare, toPath: "\(forge.bare).away")
        let route = "\(clone)/ensign/live/prod/agents/support/triage.json"
        try Data("{}".utf8).write(to: URL(fileURLWithPath: route))
        let result = try reconcile(clone, "--observe", "all")
        #expect(result.status == 1)
        #expect(result.errors.contains("fetch from origin failed: "))
        #expect(result.errors.contains("going on with refs/remotes/origin/main as it was fetched before"))
        #expect(result.output.contains("repaired agents/support/triage.json"))
        #expect(result.errors.contains("the ledger could not be pushed to origin"))
        try FileManager.default.moveItem(atPath: "\(forge.bare).away", toPath: forge.bare)
        #expect(try reconcile(clone).errors.contains("the ledger is pushed to origin"))
        #expect(try tip(clone) == tip(forge.bare))
    }

    @Test("A host that is set up anew and has not fetched yet records nothing about the branch")
    func recovery() throws {
        let forge = try forge()
        let clone = try clone(of: forge).path
        #expect(try reconcile(clone).status == 0)
        let rebuilt = try self.clone(of: forge, "rebuilt.git").path
        for arguments in [
            ["cp", "-a", "\(clone)/ensign/keys", "\(rebuilt)/ensign/"],
            ["git", "-C", rebuilt, "fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*"],
        ] {
            #expect(try run(arguments[0], Array(arguments.dropFirst()), in: forge.scratch.path).status == 0)
        }
        let before = try tip(rebuilt)
        let offline = try reconcile(rebuilt, "--offline")
        #expect(offline.status == 1)
        #expect(offline.errors.contains("nothing was fetched from 'origin' yet"), "\(offline.errors)")
        #expect(!offline.errors.contains("any more"))
        #expect(try tip(rebuilt) == before)
        #expect(try reconcile(rebuilt, "--observe", "all").status == 0)
        #expect(try tip(rebuilt) == tip(forge.bare))
        #expect(try run(Host.ensign, ["verify", "--env", "prod"], in: rebuilt).output.contains("prod: intact"))
    }

    // MARK: The wrong branch

    @Test("A host whose HEAD is another branch is warned about, and so is a push that changes nothing")
    func wrongBranch() throws {
        let scratch = try ScratchDirectory()
        let (bare, work) = ("\(scratch.path)/fleet.git", "\(scratch.path)/work")
        #expect(try run("git", ["init", "-q", "--bare", "-b", "master", bare], in: scratch.path).status == 0)
        let setUp = try run(Host.ensign, ["init"], in: bare)
        #expect(setUp.errors.contains("HEAD is 'master', and 'main' is the desired branch"), "\(setUp.errors)")
        #expect(setUp.errors.contains("git symbolic-ref HEAD refs/heads/main"))
        try FleetFixture().write(to: "work", in: scratch)
        func git(_ arguments: String...) throws -> CommandResult { try run("git", arguments, in: work) }
        #expect(try git("init", "-q", "-b", "master").status == 0)
        #expect(try git("add", "-A").status == 0)
        #expect(try git("commit", "-q", "-m", "The fleet").status == 0)
        let said = "'main' is the desired branch; this push to 'master' changes nothing here"
        #expect(try git("push", "-q", bare, "master").errors.contains(said))
        #expect(try git("push", "-q", bare, "master:main").errors.contains("prod: converged"))
        // Once there is a desired branch, others are nobody's business.
        #expect(try !git("push", "-q", bare, "master:topic").errors.contains("desired branch"))
        #expect(try !run(Host.ensign, ["init"], in: bare).errors.contains("HEAD"))
    }

    @Test("A forge that hangs delays no step of a canary, and a watch beside it ends at once")
    func hangs() throws {
        let forge = try forge()
        let clone = try clone(of: forge).path
        let rollout = "{canary: {steps: [{weight: 20, hold: 4s}]}}"
        try forge.push(FleetFixture.environmentPath, "spec:\n", "spec:\n  rollout: \(rollout)\n")
        #expect(try reconcile(clone).status == 0)
        try forge.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 200")
        #expect(try reconcile(clone).output.contains("canary 20 %"))
        func git(_ arguments: String...) throws { _ = try run("git", arguments, in: clone) }
        try git("config", "core.sshCommand", "sleep 1000 #")
        try git("config", "remote.origin.url", "ssh://forge.invalid/fleet.git")
        try git("config", "ensign.interval", "1s")
        let log = "\(forge.scratch.path)/watch.log"
        let watch = try Background(Host.ensign, ["watch", "--env", "prod"], in: clone, log: log)
        let route = "\(clone)/ensign/live/prod/agents/support/triage.json"
        try eventually(within: .seconds(15), watch.output) {
            try String(contentsOfFile: route, encoding: .utf8).contains(#""phase":"stable""#)
        }
        let start = ContinuousClock.now
        #expect(try watch.stop() == 0)
        #expect(ContinuousClock.now - start < .seconds(10))
    }
}
