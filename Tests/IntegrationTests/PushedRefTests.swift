import EnsignTestSupport
import Foundation
import Testing

/// Pushes to other names than the branch's: what moves decides, not its name.
@Suite struct PushedRefTests {
    private static let released = "fleet/agents/support/triage/1.0.0/prompt.md"

    private func host() throws -> Host { try Host(fleet: FleetFixture()) }

    /// A plain repository with the small fleet, as a forge has it, and a clone of it that `ensign init` made ready.
    private func forge() throws -> (forge: Host, clone: String) {
        let forge = try Host(fleet: FleetFixture(), pushes: false)
        try FileManager.default.removeItem(atPath: "\(forge.bare)/hooks")
        try forge.hostGit("config", "--unset-all", "receive.hideRefs")
        try forge.git("push", "-q", "origin", "main")
        let clone = "\(forge.scratch.path)/clone.git"
        #expect(try run("git", ["clone", "-q", "--bare", forge.bare, clone], in: forge.scratch.path).status == 0)
        #expect(try run("git", ["config", "ensign.remote", "origin"], in: clone).status == 0)
        #expect(try run(Host.ensign, ["init"], in: clone).status == 0)
        return (forge, clone)
    }

    /// A commit that pre-receive refuses: a released version changes.
    private func frozen(_ host: Host) throws {
        try host.edit(Self.released, "Sort", "Pay everybody. Sort")
        try host.git("commit", "-q", "-a", "--no-verify", "-m", "A frozen version changes")
    }

    private func good(_ host: Host) throws {
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        try host.git("commit", "-q", "-a", "-m", "A good change")
    }

    // MARK: Names of the branch

    /// Ways to call `refs/heads/main` `refs/heads/master`.
    enum Alias: String, CaseIterable {
        case symbolic, chain, link, target

        func make(_ host: Host) throws {
            switch self {
            case .symbolic: try host.hostGit("symbolic-ref", "refs/heads/master", "refs/heads/main")
            case .chain:
                try host.hostGit("symbolic-ref", "refs/heads/middle", "refs/heads/main")
                try host.hostGit("symbolic-ref", "refs/heads/other", "refs/heads/middle")
                try host.hostGit("symbolic-ref", "refs/heads/master", "refs/heads/other")
            case .link:
                // As git made them long ago.
                try FileManager.default.createSymbolicLink(
                    atPath: "\(host.bare)/refs/heads/master",
                    withDestinationPath: "refs/heads/main"
                )
            case .target:
                // The branch itself is the other name.
                try host.hostGit("branch", "-m", "main", "master")
                try host.hostGit("symbolic-ref", "refs/heads/main", "refs/heads/master")
            }
        }
    }

    @Test("A push to another name of the branch is judged, and live at once", arguments: Alias.allCases)
    func alias(alias: Alias) throws {
        let host = try host()
        try alias.make(host)
        let before = try host.hostGit("rev-parse", "refs/heads/main")
        let live = try host.liveFiles()
        try frozen(host)
        for name in ["main", "master"] {
            let push = try host.tryGit("push", "origin", "HEAD:refs/heads/\(name)")
            #expect(
                push.status != 0 && push.errors.contains("is released and never changes"),
                "\(name): \(push.errors)"
            )
        }
        let deletion = try host.tryGit("push", "origin", ":refs/heads/master")
        #expect(deletion.status != 0 && deletion.errors.contains("without one"), "\(deletion.errors)")
        #expect(try host.hostGit("rev-parse", "refs/heads/main") == before)
        #expect(try host.liveFiles() == live)
        // git itself cannot move that one.
        guard alias != .link else { return }
        try host.git("reset", "-q", "--hard", before)
        try good(host)
        let push = try host.tryGit("push", "origin", "HEAD:refs/heads/master")
        #expect(push.status == 0 && push.errors.contains("converged"), "\(push.errors)")
        #expect(try host.liveFiles() != live)
        try host.expectSound()
    }

    @Test("A name that leads into the record, to what is fetched, or nowhere is refused")
    func elsewhere() throws {
        let host = try host()
        let tip = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        for (name, target) in [
            ("a", "refs/ensign/ledger/prod"), ("b", "refs/remotes/origin/main"), ("c", "refs/heads/c"),
        ] {
            // git itself refuses to make the last one.
            try "ref: \(target)\n".write(toFile: "\(host.bare)/refs/heads/\(name)", atomically: true, encoding: .utf8)
            let push = try host.tryGit("push", "-f", "origin", "HEAD:refs/heads/\(name)")
            #expect(push.status != 0, "\(name)")
        }
        let push = try host.tryGit("push", "-f", "origin", "HEAD:refs/heads/a")
        #expect(push.errors.contains("only the host writes the ledger"), "\(push.errors)")
        #expect(try host.hostGit("rev-parse", "refs/ensign/ledger/prod") == tip)
    }

    // MARK: What is fetched

    @Test("Nobody pushes to refs/remotes: in a clone of a forge that is the desired state")
    func remotes() throws {
        let (forge, clone) = try forge()
        #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: clone).status == 0)
        let desired = try run("git", ["rev-parse", "refs/remotes/origin/main"], in: clone).output
        try frozen(forge)
        let plain = try host()
        for (name, repository) in [("origin/main", clone), ("origin/other", clone), ("origin/main", plain.bare)] {
            let push = try forge.tryGit("push", "-f", repository, "HEAD:refs/remotes/\(name)")
            #expect(push.status != 0 && push.errors.contains("only a fetch writes there"), "\(push.errors)")
        }
        #expect(try run("git", ["rev-parse", "refs/remotes/origin/main"], in: clone).output == desired)
        // The branch of the same name is another one there, and is looked at.
        let push = try forge.tryGit("push", clone, "HEAD:refs/heads/main")
        #expect(push.status != 0 && push.errors.contains("is released and never changes"), "\(push.errors)")
    }

    // MARK: In the way

    @Test("A branch that makes Ensign's own impossible is refused; taking one away is not")
    func obstacles() throws {
        let host = try host()
        let names = [
            "ensign", "ensign/rollback", "ensign/rollback/prod", "ensign/rollback/prod/support",
            "ensign/rollback/prod/support/triage/more",
        ]
        for name in names {
            let push = try host.tryGit("push", "origin", "HEAD:refs/heads/\(name)")
            #expect(push.status != 0 && push.errors.contains("call it something else"), "\(name): \(push.errors)")
        }
        for name in ["ensign-next", "ensign/work", "team/ensign"] {
            #expect(try host.tryGit("push", "origin", "HEAD:refs/heads/\(name)").status == 0)
        }
        try host.git("push", "-q", "origin", ":refs/heads/ensign/work")
        try host.hostGit("branch", "ensign", "main")
        #expect(try host.tryGit("push", "origin", ":refs/heads/ensign").status == 0)
    }

    // MARK: Another repository's hook

    @Test("What another repository's hook has in its environment does not reach this one's git")
    func environment() throws {
        let (forge, clone) = try forge()
        try forge.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        let other = "\(forge.scratch.path)/other.git"
        #expect(try run("git", ["init", "-q", "--bare", other], in: forge.scratch.path).status == 0)
        var environment: [String: String] = ["GIT_QUARANTINE_PATH": "\(other)/objects/incoming-x"]
        for name in try run("git", ["rev-parse", "--local-env-vars"], in: clone).output.split(separator: "\n") {
            environment[String(name)] = "\(other)/objects"
        }
        // Those that are not paths.
        environment["GIT_DIR"] = other
        environment["GIT_NO_REPLACE_OBJECTS"] = "1"
        environment["GIT_CONFIG_COUNT"] = "x"
        environment["GIT_CONFIG_PARAMETERS"] = "nonsense"
        let result = try run(
            Host.ensign,
            ["reconcile", "--env", "prod", "--repo", clone],
            in: forge.scratch.path,
            environment: environment
        )
        #expect(result.status == 0, "\(result.errors)")
        #expect(
            try run("git", ["rev-parse", "refs/remotes/origin/main"], in: clone).output
                == run("git", ["rev-parse", "refs/heads/main"], in: forge.bare).output
        )
        #expect(try run("git", ["count-objects"], in: other).output.hasPrefix("0 objects"))
        #expect(try run("git", ["fsck"], in: clone).status == 0)
    }
}
