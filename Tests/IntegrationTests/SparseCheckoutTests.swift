import EnsignTestSupport
import Foundation
import Testing

/// What git keeps out of a work tree is part of the fleet all the same, and is never written over.
@Suite struct SparseCheckoutTests {
    /// A clone of which only a part is checked out, as `git sparse-checkout set` makes it.
    private func host(_ options: [String], _ places: String...) throws -> Host {
        let host = try Host(fleet: FleetFixture())
        // Git leaves what may have changed: the files are copies.
        try host.git("update-index", "-q", "--refresh")
        let set = ["sparse-checkout", "set"] + options + places
        let result = try run("git", set, in: host.work)
        try #require(result.status == 0, "\(result.errors)")
        try #require(!FileManager.default.fileExists(atPath: "\(host.work)/\(FleetFixture.deploymentPath)"))
        return host
    }

    private static let ways = [[], ["--sparse-index"], ["--no-cone"]]

    @Test("validate and plan --worktree see what git keeps out, and what was changed beside it", arguments: ways)
    func read(_ options: [String]) throws {
        let host = try host(options, "fleet")
        // What `git --literal-pathspecs` leaves to what it starts changes nothing.
        let environments = [[:], ["GIT_LITERAL_PATHSPECS": "1"], ["GIT_ICASE_PATHSPECS": "1"]]
        for (words, environment) in zip([["validate"], ["validate", "."], ["validate"]], environments) {
            let valid = try run(Host.ensign, words, in: host.work, environment: environment)
            #expect(valid.status == 0 && valid.errors.contains("2 environments"), "\(words): \(valid.errors)")
        }
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let plan = try host.ensignInWork("plan", "--env", "prod", "--worktree")
        #expect(plan.status == 0 && plan.output.contains("0 to delete"), "\(plan.output)\(plan.errors)")
        #expect(plan.output.contains("0 to create, 0 to update"), "\(plan.output)")
        let below = try run(Host.ensign, ["validate"], in: "\(host.work)/fleet")
        #expect(below.status == 0 && below.errors.contains("2 environments"), "\(below.errors)")
        // What is not there by somebody's hand is gone.
        try FileManager.default.removeItem(atPath: "\(host.work)/fleet/teams")
        let broken = try host.ensignInWork("validate")
        #expect(broken.status == 3 && broken.errors.contains("2 environments"), "\(broken.errors)")
    }

    @Test("release and new version copy what git keeps out, and stage it", arguments: ways)
    func copied(_ options: [String]) throws {
        let host = try host(options, "docs")
        let made = try host.ensignInWork("new", "version", "support/triage")
        #expect(made.status == 0, "\(made.errors)")
        let folder = "\(host.work)/fleet/agents/support/triage"
        for file in ["agent.yaml", "prompt.md"] {
            let copy = try String(contentsOfFile: "\(folder)/next/\(file)", encoding: .utf8)
            let newest = try host.git("show", "HEAD:fleet/agents/support/triage/1.0.0/\(file)")
            #expect(copy.trimmingCharacters(in: .newlines) == newest)
        }
        let again = try host.ensignInWork("release", "support/triage", "1.0.0")
        #expect(again.status == 4 && again.errors.contains("exists already"), "\(again.errors)")
        let released = try host.ensignInWork("release", "support/triage", "1.9.0")
        #expect(released.status == 0, "\(released.errors)")
        #expect(try host.git("diff", "--cached", "--name-only").contains("triage/1.9.0/agent.yaml"))
        #expect(try !host.git("diff", "--cached", "--name-status").contains("D\t"))
    }

    @Test("new writes over nothing that git keeps out, and says how it comes here", arguments: ways)
    func kept(_ options: [String]) throws {
        let host = try host(options, "fleet")
        let words = ["new", "deployment", "support/triage", "--env", "prod"]
        let result = try run(Host.ensign, words, in: host.work)
        let path = FleetFixture.deploymentPath
        #expect(result.status == 4 && result.errors.contains("\(path) exists already"), "\(result)")
        #expect(result.errors.contains("git sparse-checkout add \(path)"), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: "\(host.work)/\(path)"))
        #expect(try host.ensignInWork("new", "env", "prod").status == 4)
        #expect(try host.ensignInWork("new", "env", "qa").status == 0)
    }
}
