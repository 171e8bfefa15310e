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
}
