import EnsignTestSupport
import Foundation
import Testing

/// Who is told which keys count.
@Suite struct ToldKeysTests {
    @Test("The keys of a ledger that was rolled back, or is gone, are not told")
    func keys() throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.ensign("keys", "--env", "prod").status == 0)
        try host.hostGit("update-ref", "refs/ensign/ledger/prod", "refs/ensign/ledger/prod~1")
        #expect(try host.ensign("keys", "--env", "prod").status == 5)
        try host.hostGit("update-ref", "-d", "refs/ensign/ledger/prod")
        #expect(try host.ensign("keys", "--env", "prod").status == 5)
    }

    @Test(
        "A clone without the ledger proves nothing and knows no keys, and says so",
        arguments: ["verify", "keys"],
        [[], ["--env", "prod"], ["--env", "prod", "--output", "json"]]
    )
    func withoutLedger(_ verb: String, _ options: [String]) throws {
        let host = try Host(fleet: FleetFixture())
        let answer = try run(Host.ensign, [verb] + options, in: host.work)
        #expect(answer.status == 1, "\(answer.output)")
        let said = answer.output + answer.errors
        #expect(said.contains("there is no ledger here: ") && !said.contains("intact"), "\(said)")
        #expect(said.contains("git fetch origin 'refs/ensign/ledger/*"), "\(said)")
        // Once it is fetched, both know.
        try host.git("fetch", "-q", "origin", "refs/ensign/ledger/*:refs/ensign/ledger/*")
        let fetched = try run(Host.ensign, [verb] + options, in: host.work)
        #expect(fetched.status == 0, "\(fetched.errors)")
    }
}
