import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

/// Where text is wanted, a scalar is the text that it is written as.
@Suite("Texts as they are written") struct WrittenTextTests {
    private static let words = [
        "1.10", "0x10", "1e3", "-0", "007", "1.0", "2026-01-01", "yes", "12:30", "9007199254740993", "1_000", "~x",
        "true", "null",
    ]

    @Test("Arguments of programs, folders, variables and headers keep every digit", arguments: words)
    func servers(word: String) throws {
        var fixture = FleetFixture()
        fixture.replace(
            "{mcp: {url: \"https://crm.example.com/mcp\"}}",
            with:
                "{mcp: {command: [npx, --protocol, \(word)], cwd: \(word == "true" || word == "null" ? "a" : word), env: {A: \(word)}}}",
            in: FleetFixture.bindingPath
        )
        let server = try #require(try fixture.compile(), "\(fixture.check())").bundle.tools.first?.server?["mcp"]
        #expect(server?["command"] == ["npx", "--protocol", .string(word)])
        #expect(server?["env"]?["A"] == .string(word))
        if word != "true", word != "null" { #expect(server?["cwd"] == .string(word)) }
    }

    @Test("A trigger's fields are text, and its input is any value")
    func triggers() throws {
        var fixture = FleetFixture()
        fixture.replace(
            "  limits: {costUSDPerDay: 40}",
            with:
                "  triggers: [{queue: 1.50}, {cron: 0 8 * * *, input: {a: 1.5, b: [true, null], c: \"1.10\"}}]\n  limits: {costUSDPerDay: 40}",
            in: FleetFixture.deploymentPath
        )
        let triggers = try #require(try fixture.compile(), "\(fixture.check())").bundle.triggers
        #expect(
            triggers == [
                ["queue": "1.50"], ["cron": "0 8 * * *", "input": ["a": 1.5, "b": [true, .null], "c": "1.10"]],
            ]
        )
    }
}
