import EnsignTestSupport
import Foundation
import Testing

/// The Python client and `ensign route` must agree, as must both with the committed vectors.
@Suite struct RouteTests {
    @Test("The Python client reads what Ensign publishes and takes the routes that 'ensign route' takes")
    func clientAgrees() throws {
        let host = try Host()
        let script = """
            import json, sys
            sys.path.insert(0, sys.argv[1])
            import ensign
            fleet = ensign.Fleet(sys.argv[2])
            for key in json.load(sys.stdin):
                session = fleet.session("support/refund-triage", key=key)
                print(session.version, session.digest, session.bucket)
            """
        let keys = (0..<40).map { "ticket-\($0)" } + ["", "ä", "a b", "\u{1F600}"]
        let input = String(decoding: try JSONSerialization.data(withJSONObject: keys), as: UTF8.self)
        let client = try run(
            "python3",
            ["-B", "-c", script, "\(Host.package)/clients/python", host.live()],
            in: host.bare,
            input: input
        )
        #expect(client.status == 0, "\(client.errors)")
        let answers = client.output.split(separator: "\n")
        #expect(answers.count == keys.count)
        for (key, answer) in zip(keys, answers) {
            let route = try host.ensign(
                "route",
                "support/refund-triage",
                "--env",
                "prod",
                "--key",
                key,
                "--output",
                "json"
            )
            let json = try #require(
                try JSONSerialization.jsonObject(with: Data(route.output.utf8)) as? [String: Any]
            )
            let said = "\(json["version"] ?? "") \(json["digest"] ?? "") \(json["bucket"] ?? "")"
            #expect(said == answer)
        }
    }

    @Test("A live route that is gone is a failure on the host; elsewhere it is said that the ledger answers")
    func missing() throws {
        let host = try Host(fleet: FleetFixture())
        let words = ["route", "support/triage", "--env", "prod", "--key", "k", "--output", "json"]
        let live = try host.ensign(arguments: words)
        #expect(live.status == 0 && live.errors.isEmpty && live.output.contains("\"from\": \"live\""), "\(live.output)")
        #expect(try host.ensignInWork("init", "--client").status == 0)
        try host.git("fetch", "-q")
        let clone = try run(Host.ensign, words, in: host.work)
        #expect(clone.output.contains("\"from\": \"ledger\""), "\(clone.output)")
        #expect(clone.errors == "prod: from the ledger: this clone hosts no live directory\n")
        try FileManager.default.removeItem(atPath: "\(host.live())/agents/support/triage.json")
        let gone = try host.ensign(arguments: words)
        #expect(
            gone.status == 5 && gone.errors.contains("the live route of 'support/triage' is missing"),
            "\(gone.errors)"
        )
        #expect(gone.errors.contains("ensign reconcile --env prod --observe all"), "\(gone.errors)")
        #expect(try host.ensign("reconcile", "--env", "prod", "--observe", "all").status == 0)
        #expect(try host.ensign(arguments: words).output == live.output)
        // What is deployed nowhere is missed by nobody.
        #expect(try host.ensign("route", "support/triage", "--env", "dev", "--key", "k").status == 1)
    }
}
