import EnsignTestSupport
import Foundation
import Testing

/// A repository is the host of a fleet or a developer's clone, and does not become the other one by a slip.
@Suite struct HostOrClientTests {
    @Test(
        "A host stays one when 'init --client' is typed on it: before its first push, and after it",
        arguments: [false, true]
    )
    func host(_ pushes: Bool) throws {
        let host = try Host(fleet: FleetFixture(), pushes: pushes)
        let result = try host.ensign("init", "--client")
        #expect(result.status == 4 && result.errors.contains("this repository hosts a fleet"), "\(result.errors)")
        #expect(result.errors.contains("git config ensign.client true"), "\(result.errors)")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        // Keys alone are enough: the hooks may be the operator's own.
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks")
        #expect(try host.ensign("init", "--client").status == 4)
    }

    @Test("A clone becomes no second host, unless somebody says that it is none any more")
    func clone() throws {
        let host = try Host(fleet: FleetFixture())
        for _ in 0..<2 { #expect(try host.ensignInWork("init", "--client").status == 0) }
        let result = try host.ensignInWork("init")
        #expect(result.status == 4 && result.errors.contains("a developer's clone"), "\(result.errors)")
        #expect(result.errors.contains("git config --unset ensign.client"), "\(result.errors)")
        #expect(!host.scratch.exists("work/.git/ensign/keys"))
        #expect(try host.git("config", "ensign.client") == "true")
        try host.git("config", "--unset", "ensign.client")
        #expect(try host.ensignInWork("init").status == 0)
    }

    @Test("What a host wrote down of itself is not the state of the clone that it became")
    func formerHost() throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.ensign("status", "--env", "prod", "--output", "json").output.contains("\"result\": \"ok\""))
        try host.hostGit("config", "ensign.client", "true")
        let status = try host.ensign("status", "--env", "prod", "--output", "json")
        #expect(status.output.contains("\"reconciled\": null"), "\(status.output)")
        #expect(status.output.contains("\"ageSeconds\": null"), "\(status.output)")
    }
}
