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
}
