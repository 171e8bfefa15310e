import EnsignGateway
import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("The operator's file")
struct GatewayFileTests {
    static let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

    static let zeros = String(repeating: "0", count: 64)

    /// Every field once, as docs/gateway-file.md shows it.
    static var example: String {
        get throws {
            let docs = try #require(try packageFiles(below: "docs")["docs/gateway-file.md"])
            let text = String(decoding: docs, as: UTF8.self)
            let start = try #require(text.firstRange(of: "```yaml\n")).upperBound
            let end = try #require(text[start...].firstRange(of: "```")).lowerBound
            return String(text[start..<end])
        }
    }

    private func read(_ text: String) -> (file: GatewayFile?, findings: [Finding]) {
        GatewayFile.read(Array(text.utf8), path: "/etc/ensign/gateway.yaml")
    }

    @Test("The file that the documentation shows is read as it is written there")
    func example() throws {
        let (read, findings) = read(try Self.example)
        #expect(findings.map(\.message) == [])
        let file = try #require(read)
        #expect(file.live.value == "/srv/fleet/prod" && file.keys.value == "/etc/ensign/prod.keys")
        #expect(file.state.value == "/var/lib/ensign-gateway/prod" && file.owner?.value == "git")
        #expect(file.maxAge == TimeSpan("5m"))
        #expect(file.listen.http?.description == "127.0.0.1:7411")
        #expect(file.listen.socket?.value == "/run/ensign-gateway/prod.sock")
        #expect(
            file.agents.map(\.agent.description) == [
                "support/refund-triage", "it/access-provisioning", "sales/crm-hygiene",
            ]
        )
        #expect(file.agents.map(\.principal) == [nil, "svc@example.com", nil])
        guard case .token(let token) = file.agents[0].proof, case .account(let uid) = file.agents[1].proof,
            case .jwt(let issuer, let subject) = file.agents[2].proof
        else {
            Issue.record("the agents are proven by other means")
            return
        }
        #expect(token.hex == Self.digest && uid == 1_007)
        #expect(issuer.issuer == "https://idp.example.com" && issuer.audience == "ensign" && subject == "crm-hygiene")
        #expect(file.asked.map(\.keys.value) == ["/etc/ensign/jwks.json"])
        #expect(file.upstreams.keys.sorted() == ["crm", "payments"])
        #expect(file.credentials.mapValues { $0.map(\.value) } == ["vault": ["/usr/local/libexec/vault-read"]])
        #expect(file.approvals.wait == 600 && file.approvals.notify.map(\.value) == ["/usr/local/libexec/ask"])
        var limits = GatewayFile.Limits()
        (limits.repeatedCalls, limits.refusals, limits.callsInFlight) = (20, 10, 64)
        (limits.stepsPerMinute, limits.runsPerHour) = (120, 600)
        #expect(file.limits == limits)
        #expect(file.telemetry?.value == "/var/lib/otel/prod" && file.usage?.value == "/var/lib/otel/prod")
        #expect(file.output == .strict && file.pins == .strict && file.keep == TimeSpan("180d"))
    }

    @Test("A place that is given counts instead of the file's, which need not have it then, and no other")
    func places() throws {
        let places = GatewayFile.Places(["live": "/tmp/live", "keys": "/tmp/keys", "owner": "eve"])
        func read(_ text: String) -> (file: GatewayFile?, findings: [Finding]) {
            GatewayFile.read(Array(text.utf8), path: "/etc/ensign/gateway.yaml", places: places)
        }
        let file = try #require(read(try Self.example).file)
        #expect(file.live.value == "/tmp/live" && file.keys.value == "/tmp/keys")
        #expect(file.state.value == "/var/lib/ensign-gateway/prod" && file.owner?.value == "git")
        let head = "apiVersion: ensign.dev/v1\nkind: Gateway\n"
        #expect(read("\(head)spec: {state: /s, upstreams: {}}\n").file?.live.value == "/tmp/live")
        #expect(read("\(head)spec: {upstreams: {}}\n").findings.map(\.code) == ["missing-field"])
        #expect(read("\(head)spec: {live: x, state: /s, upstreams: {}}\n").findings.map(\.code) == ["invalid-value"])
        // Where the state lies in the live directory, whoever gave it.
        #expect(read("\(head)spec: {state: /tmp/live/s, upstreams: {}}\n").findings.map(\.code) == ["misplaced"])
    }

    @Test("Servers are read with everything that the operator says of them")
    func upstreams() throws {
        let file = try #require(read(try Self.example).file)
        guard case .program(let program)? = file.upstreams["payments"]?.address,
            case .web(let url, let headers)? = file.upstreams["crm"]?.address
        else {
            Issue.record("other kinds of servers")
            return
        }
        #expect(program.words.map(\.value) == ["/usr/local/bin/payments-mcp"] && program.sha256?.value == Self.digest)
        #expect(program.user?.value == "payments-mcp" && program.sandbox?.network == true)
        #expect(program.sandbox?.read.map(\.value) == ["/srv/payments"])
        #expect(program.environment.map(\.name) == ["PAYMENTS_TOKEN"])
        #expect(file.upstreams["payments"]?.references.map(\.value) == ["vault:payments"])
        #expect(url.value == "https://crm.example.com/mcp")
        #expect(headers.map(\.value.value) == ["Bearer {credentials}"])
    }

    @Test("All mistakes are found at once, each where it is")
    func tenMistakes() {
        let marked = MarkedText(
            """
            apiVersion: ensign.dev/v1
            kind: Gateway
            spec:
              live: ①fleet/prod
              keys: /etc/ensign/prod.keys
              ②staet: /var/lib/ensign-gateway
              listen: {http: ③0.0.0.0:7411, socket: /run/e.sock}
              agents:
                - {agent: ④Support, uid: 7}
                - {agent: it/helper, uid: ⑤x}
                - {agent: it/helper, tokenSHA256: ⑥9f86}
              upstreams:
                crm: {url: ⑦http://crm.example.com/mcp}
                payments: {command: [/usr/bin/p], user: ⑧"Pay Ments"}
              limits: {repeatedCalls: ⑨0}
              output: ⑩loose
              pins: strict

            """
        )
        let findings = GatewayFile.read(marked.bytes, path: "/etc/ensign/gateway.yaml").findings
        let names = findings.map { "\(marked.name($0.position)) \($0.code)" }
        for marker in "①②③④⑤⑥⑦⑧⑨⑩" {
            #expect(names.contains { $0.hasPrefix(String(marker)) }, "nothing at \(marker): \(names)")
        }
        #expect(findings.contains { $0.message.contains("state") }, "the required field is missing")
        #expect(findings.allSatisfy { $0.severity == .error && !$0.message.isEmpty })
    }

    /// The example with something else in one place.
    private func codes(_ old: String, _ new: String) throws -> [String] {
        let text = try Self.example
        #expect(text.contains(old), "the example has no '\(old)'")
        return read(text.replacing(old, with: new)).findings.map(\.code)
    }

    @Test(
        "What would hand the decision to somebody else is refused",
        arguments: [
            ("keys: /etc/ensign/prod.keys", "keys: /srv/fleet/prod/keys", "misplaced"),
            ("state: /var/lib/ensign-gateway/prod", "state: /srv/fleet/prod/state", "misplaced"),
            ("read: [/srv/payments]", "read: [/var/lib/ensign-gateway]", "misplaced"),
            ("read: [/srv/payments]", "write: [/srv/fleet]", "misplaced"),
            ("[/usr/local/bin/payments-mcp]", "[payments-mcp]", "invalid-value"),
            ("uid: 1007", "tokenSHA256: \(GatewayFileTests.digest)", "ambiguous-identity"),
            ("references: [\"vault:payments\"]", "references: [\"aws:payments\"]", "no-resolver"),
            ("references: [\"vault:crm\"], ", "", "no-reference"),
            ("https://crm.example.com/mcp", "http://crm.example.com/mcp", "invalid-value"),
            ("http: 127.0.0.1:7411", "http: 10.0.0.1:7411", "invalid-value"),
            ("user: payments-mcp", "headers: {A: b}", "unknown-field"),
            ("principal: svc@example.com", "tokenSHA256: \(GatewayFileTests.zeros)", "not-one-of"),
        ]
    )
    func refused(_ old: String, _ new: String, _ code: String) throws {
        #expect(try codes(old, new).contains(code))
    }

    @Test("A token of its own for each of two lines of one agent is fine, and so is one account for two agents")
    func severalLines() throws {
        let other = String(repeating: "a", count: 64)
        let second = "- {agent: support/refund-triage, tokenSHA256: \(other)}\n    - {agent: it/access"
        #expect(try codes("- {agent: it/access", second) == [])
        let shared = "- {agent: it/other, uid: 1007}\n    - {agent: it/access"
        #expect(try codes("- {agent: it/access", shared) == [])
    }

    @Test("A literal secret is refused, wherever it is")
    func literal() throws {
        let found = try codes("\"{credentials}\"", "ghp_1B4a8Zq0Yc7Kd2Lw9Xe5Rt6Uv3Ms4Np7Qj8A")
        #expect(!found.isEmpty)
    }

    @Test("Its JSON Schema for editors is valid, takes what is documented, and refuses what is not there")
    func editorSchema() throws {
        let source = GatewayFile.kind.editorSchema
        let schema = try JSONSchema(source)
        #expect(schema.validate(["apiVersion": "ensign.dev/v1", "kind": "Gateway"]).count > 0)
        let spec: JSONValue = ["live": "/l", "keys": "/k", "state": "/s", "upstreams": ["crm": ["command": ["/c"]]]]
        #expect(
            schema.validate(["apiVersion": "ensign.dev/v1", "kind": "Gateway", "spec": spec]).map(\.description) == []
        )
        var more = spec.object ?? [:]
        more["modle"] = 1
        #expect(schema.validate(["apiVersion": "ensign.dev/v1", "kind": "Gateway", "spec": .object(more)]).count == 1)
        let golden = Golden(inPackage: "docs/schemas/gateway.json")
        let bytes = source.prettyBytes() + [0x0A]
        #expect(try golden.expected(recording: bytes) == bytes, "docs/schemas/gateway.json: ENSIGN_RECORD=1 records it")
    }

    @Test("Every field has its row in docs/gateway-file.md")
    func reference() throws {
        let docs = try #require(try packageFiles(below: "docs")["docs/gateway-file.md"])
        let text = String(decoding: docs, as: UTF8.self)
        func names(_ schema: JSONValue, _ path: String) -> [String] {
            var found = (schema["properties"]?.object ?? [:]).flatMap { name, inner in
                ["`\(path).\(name)`"] + names(inner, "\(path).\(name)")
            }
            if let items = schema["items"] { found += names(items, "\(path)[]") }
            if let inner = schema["additionalProperties"], inner.object != nil {
                found += names(inner, "\(path).<name>")
            }
            return found
        }
        let all = names(try #require(GatewayFile.kind.editorSchema["properties"]?["spec"]), "spec")
        #expect(all.count > 50)
        #expect(all.filter { !text.contains("| \($0) |") } == [])
    }
}
