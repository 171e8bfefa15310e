import EnsignTestSupport
import Foundation
import Testing

/// `ensign status`: every environment has a row, and an empty answer says why.
@Suite struct StatusTests {
    @Test("A ledger that cannot be read is a row with the reason, and the others keep theirs")
    func broken() throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("update-ref", "refs/ensign/ledger/dev", "refs/heads/main")
        let text = try host.ensign("status")
        #expect(text.status == 5)
        #expect(text.output.contains(#/dev .* unreadable/#), "\(text.output)")
        #expect(text.output.contains(#/prod +2 .* ok/#), "\(text.output)")
        #expect(text.errors.contains("dev: "))
        let json = try host.ensign("status", "--output", "json")
        #expect(json.status == 5)
        #expect(json.output.contains(#/"error": "[^"]*not a signed/#), "\(json.output)")
        #expect(json.output.contains(#""error": null"#))
    }

    @Test("Where no ledger was fetched it says to fetch")
    func noLedger() throws {
        let host = try Host(fleet: FleetFixture())
        let plain = try host.ensignInWork("status")
        #expect(plain.status == 0)
        #expect(plain.errors.contains("git fetch origin 'refs/ensign/ledger/*:refs/ensign/ledger/*' first"))
        try host.ensignInWork("init", "--client")
        #expect(try host.ensignInWork("status").errors.contains("there is no ledger here: git fetch first"))
        try host.git("fetch", "-q")
        #expect(try host.ensignInWork("status").errors.isEmpty)
    }

    @Test("Agents that are live where the desired branch is not here are no success")
    func noBranch() throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.branch", "refs/heads/main")
        let status = try host.ensign("status", "--env", "prod")
        #expect(status.output.contains("no-branch") && !status.output.contains(" ok"), "\(status.output)")
        #expect(status.errors.contains("prod: the desired branch is not here: what is live stays"), "\(status.errors)")
    }

    @Test("No rows at all: which branch is missing, or what it does not declare")
    func nothing() throws {
        let scratch = try ScratchDirectory()
        func ensign(_ arguments: String...) throws -> CommandResult {
            try run(Host.ensign, arguments, in: scratch.path)
        }
        #expect(try run("git", ["init", "-q", "-b", "master"], in: scratch.path).status == 0)
        #expect(try ensign("status").errors.contains("there is no refs/heads/main yet"))
        #expect(try run("git", ["commit", "-q", "--allow-empty", "-m", "x"], in: scratch.path).status == 0)
        let named = try ensign("-c", "ensign.branch=master", "status")
        #expect(named.errors.contains("refs/heads/master declares no environment"))
    }
}
