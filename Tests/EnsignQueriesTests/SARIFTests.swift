import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignQueries
import Testing

@Suite("Findings are written as SARIF 2.1.0")
struct SARIFTests {
    private func run(_ findings: [Finding]) throws -> JSONValue {
        let value = FleetValidation(findings: findings, counts: FleetChecker.Counts()).sarif(version: "9.8.7")
        #expect(value["version"]?.string == "2.1.0")
        let runs = try #require(value["runs"]?.array)
        try #require(runs.count == 1)
        return runs[0]
    }

    @Test("Without findings there is a run that found nothing")
    func empty() throws {
        let run = try run([])
        #expect(run["tool"]?["driver"] == ["name": "ensign", "version": "9.8.7", "rules": []])
        #expect(run["results"] == [])
    }

    @Test("Each result names its rule, its place and what to do; a note is a related place")
    func results() throws {
        let note = Finding.Note(path: "b.yaml", position: Position(line: 3, column: 4), message: "the other one")
        let findings = [
            Finding(
                code: "z-last",
                "first",
                path: "a.yaml",
                at: Position(line: 1, column: 2),
                hint: "do it",
                notes: [note]
            ),
            Finding(.warning, code: "a-first", "second", path: "a.yaml"),
        ]
        let run = try run(findings)
        #expect(run["tool"]?["driver"]?["rules"] == [["id": "a-first"], ["id": "z-last"]])
        #expect(
            run["results"] == [
                [
                    "ruleId": "z-last", "ruleIndex": 1, "level": "error", "message": ["text": "first. Hint: do it"],
                    "locations": [place("a.yaml", 1, 2)],
                    "relatedLocations": [place("b.yaml", 3, 4, message: "the other one")],
                ],
                [
                    "ruleId": "a-first", "ruleIndex": 0, "level": "warning", "message": ["text": "second"],
                    "locations": [place("a.yaml", 1, 1)],
                ],
            ]
        )
    }

    @Test(
        "A path is a relative reference, whatever is in it",
        arguments: [
            ("fleet/agents/a/b/1.0.0/agent.yaml", "fleet/agents/a/b/1.0.0/agent.yaml"), ("a b", "a%20b"),
            ("javascript:x", "javascript%3Ax"), ("100%/ü?#", "100%25/%C3%BC%3F%23"), ("a\n", "a%0A"),
        ]
    )
    func paths(path: String, uri: String) throws {
        let place = try run([Finding(code: "x", "y", path: path)])["results"]?[0]?["locations"]?[0]
        #expect(place?["physicalLocation"]?["artifactLocation"]?["uri"]?.string == uri)
    }

    private func place(_ uri: String, _ line: Int64, _ column: Int64, message: String? = nil) -> JSONValue {
        let physical: JSONValue = [
            "artifactLocation": ["uri": .string(uri), "uriBaseId": "%SRCROOT%"],
            "region": ["startLine": .integer(line), "startColumn": .integer(column)],
        ]
        guard let message else { return ["physicalLocation": physical] }
        return ["physicalLocation": physical, "message": ["text": .string(message)]]
    }
}
