import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignManifest

/// Whatever is wrong with a file, nothing that is said of it repeats a secret that is in it.
@Suite("Secrets in what is said of a file") struct SecretOutputTests {
    private static let token = "ghp_" + String(repeating: "a1B2", count: 9)
    private static let web = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r"

    @Test("A token is hidden in every finding, of its own file and of others that name it", arguments: [token, web])
    func everywhere(_ token: String) throws {
        let agent = FleetFixture.agentPath
        let deployment = FleetFixture.deploymentPath
        let places: [(path: String, old: String, new: String)] = [
            (agent, "operations: [find, update, erase]", "operations: [find, \"\(token)\"]"),
            (agent, "{tool: crm,", "{tool: \"\(token)\","),
            (agent, "instructions: prompt.md", "instructions: \(token)"),
            (agent, "metadata: {labels", "metadata: {name: \(token), labels"),
            (agent, "description: Sorts tickets.", "\(token): Sorts tickets."),
            (agent, "description: Sorts tickets.", "description: a\n  \(token): b\n  \(token): c"),
            (agent, "input: {type: object, required: [ticket]}", "input: {$ref: \"#/\(token)\"}"),
            (agent, "input: {type: object, required: [ticket]}", "input: {type: \(token)}"),
            (agent, "description: Sorts tickets.", "descr: \"\(String(repeating: "x", count: 1_980)) \(token)\""),
            (deployment, "roles: [reader]", "roles: [\(token)]"),
            (deployment, "- tool: crm", "- tool: \(token)"),
            (deployment, "[update]", "[\(token)]"),
            (deployment, "approval: manager", "approval: \(token)"),
            (deployment, "expires: 2027-06-30", "expires: \(token)"),
            (deployment, "version: 1.0.0", "version: \(token)"),
            (FleetFixture.environmentPath, "promotesFrom: dev", "promotesFrom: \(token)"),
            (FleetFixture.toolPath, "owner: support", "owner: \(token)"),
        ]
        for place in places {
            var fixture = FleetFixture()
            fixture.replace(place.old, with: place.new, in: place.path)
            let said = fixture.check()
            #expect(said.contains("[literal-secret]"), "\(place.new): \(said)")
            for start in stride(from: 0, to: token.utf8.count - 12, by: 6) {
                let piece = String(token.dropFirst(start).prefix(12))
                #expect(!said.contains(piece), "\(place.new): \(said)")
            }
        }
    }

    @Test("Short texts in the place of a secret are not taken out of words")
    func short() {
        let found = check(FleetFixture.bindingPath, "{ref: \"vault:crm-prod\"}", "{ref: a}")
        #expect(found.contains("[literal-secret]") && !found.contains("***"), "\(found)")
        let variable = check(
            FleetFixture.bindingPath,
            "apiVersion: ensign.dev/v1\nkind: Binding\nspec:\n  server:\n    mcp: {command: [a], env: {API_KEY: {ref: e}}}\n"
        )
        #expect(variable.contains("[literal-secret]") && !variable.contains("***"), "\(variable)")
    }

    @Test("Pieces of a secret are hidden however a message cuts it, and words are not")
    func pieces() {
        var mask = SecretMask()
        #expect(mask.hide("no operation 'hunter2'") == "no operation 'hunter2'")
        mask.add("hunter2".utf8)
        mask.add("tickets:graph:password".utf8)
        #expect(
            mask.hide("no operation 'hunter2', and hunter2s are words") == "no operation '***', and hunter2s are words"
        )
        #expect(mask.hide("'tickets:graph:pass...' is long") == "'***...' is long")
        #expect(mask.hide("tickets and a graph") == "tickets and a graph")
    }

    @Test("A token in a comment, or in what cannot be parsed, is refused at its place; an exception needs a reason")
    func comments() {
        let token = Self.token
        func found(_ text: String) -> String { check(FleetFixture.teamPath, text) }
        let head = "apiVersion: ensign.dev/v1\nkind: Team\n"
        let tail = "spec: {members: [ada@example.com], escalation: \"#a\"}"
        #expect(
            found("\(head)# é ①\(token)\n\(tail)\n").contains(
                "support.yaml:①: error: a comment: this looks like a GitHub token"
            )
        )
        #expect(found("\(head)\(tail)  # ①https://ada:hunter2@host/x\n").contains("[literal-secret]"))
        #expect(!found("\(head)# \(token)\n\(tail)\n").contains(token))
        #expect(found("\(head)# \(token)  # secret-ok: revoked\n\(tail)\n") == "")
        #expect(found("\(head)\(tail)  # no token: ghp_short, sha256:\(String(repeating: "0a", count: 32))\n") == "")
        let broken = found("\(head)spec: {members: [ada@example.com\nescalation: \(token)\n")
        #expect(broken.contains("[literal-secret]") && !broken.contains(token), "\(broken)")
        // Once for each place.
        let value = found("\(head)spec: {members: [ada@example.com], escalation: \"# \(token)\"}\n")
        #expect(value.split(separator: "\n").filter { $0.contains("[literal-secret]") }.count == 1, "\(value)")
    }

    @Test("The place of a secret in a text is counted in characters, without a byte order mark")
    func columns() {
        let found = check(FleetFixture.promptPath, "\u{feff}é: \(Self.token)\n")
        #expect(found.contains("prompt.md:1:4: warning") && found.contains("[literal-secret]"), "\(found)")
    }
}
