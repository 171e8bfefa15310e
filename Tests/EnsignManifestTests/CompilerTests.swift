import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Compiling a deployment")
struct CompilerTests {
    private func compile(
        _ agent: AgentID = .triage,
        in environment: String = "prod",
        _ change: (inout FleetFixture) -> Void = { _ in }
    ) throws -> CompiledBundle {
        var fixture = FleetFixture()
        change(&fixture)
        return try #require(try fixture.compile(agent, in: environment), "\(fixture.check())")
    }

    /// A deployment of the triage agent in `dev`, like that in `prod` or not.
    private func deployInDev(_ fixture: inout FleetFixture, _ spec: String) {
        fixture["environments/dev/agents/support/triage.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: \(spec)\n"
        fixture["environments/dev/agents/support/desk.yaml"] =
            "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
    }

    @Test("The bundles of the small fleet are what was recorded, byte for byte", arguments: [AgentID.triage, .desk])
    func golden(agent: AgentID) throws {
        let compiled = try compile(agent)
        let expected = try Golden("\(agent.name).json").expected(recording: compiled.bytes)
        #expect(
            try String(decoding: compiled.bytes, as: UTF8.self) == expected.map { String(decoding: $0, as: UTF8.self) },
            "ENSIGN_RECORD=1 records it anew"
        )
    }

    @Test("A bundle is canonical JSON and one newline, and reads back as itself", arguments: [AgentID.triage, .desk])
    func canonical(agent: AgentID) throws {
        let compiled = try compile(agent)
        let json = try JSONParser.parse(compiled.bytes)
        #expect(try json.canonicalBytes() + [0x0A] == compiled.bytes)
        #expect(try compiled.digest == Compiler.digest(of: compiled.bytes))
        let read = try #require(Bundle(json: json))
        #expect(try read.bytes == compiled.bytes)
        #expect(try read == compiled.bundle)
    }

    @Test("A bundle has every field of the contract, and no other")
    func fields() throws {
        let json = try JSONParser.parse(try compile().bytes)
        #expect(
            json.object?.map(\.key) == [
                "agent", "artifact", "autonomy", "contract", "delegates", "description", "environment", "identity",
                "instructions", "labels", "limits", "model", "owner", "runtime", "tools", "version",
            ]
        )
        #expect(
            json["tools"]?[0]?.object?.map(\.key) == [
                "credentials", "description", "operations", "server", "tool", "version",
            ]
        )
        #expect(
            json["tools"]?[0]?["operations"]?["update"]?.object?.map(\.key) == [
                "access", "approval", "description", "expires", "idempotent", "input", "output", "risk", "timeout",
            ]
        )
    }

    // MARK: What does not matter

    @Test("The order of files, of fields, comments, styles and line ends do not matter")
    func presentation() throws {
        let digest = try compile().digest
        #expect(try compile().digest == digest)
        let fixture = FleetFixture()
        let reversed = EnvironmentCompiler(
            fleet: fixture.fleet(ReversedSnapshot(fixture.snapshot)),
            environment: "prod"
        )
        #expect(try reversed.compile(.triage)?.bundle.digest == digest)
        let crlf = try compile { fixture in
            for (path, entry) in fixture.entries {
                if case .text(let text) = entry { fixture.entries[path] = .text(text.replacing("\n", with: "\r\n")) }
            }
        }
        #expect(crlf.digest == digest)
        let restyled = try compile { fixture in
            fixture[FleetFixture.agentPath] = """
                # Comments
                kind: "Agent"
                apiVersion: 'ensign.dev/v1'
                spec:
                    runtime: {graph: tickets:graph, kind: langgraph}
                    limits:
                        seconds: 90
                        costUSD: 0.50
                        tokens: 2e4
                        steps: 8
                    needs: {agents: [support/desk], tools: [{version: 1.0.0, tool: crm, operations: [erase, find, update]}]}
                    contract: {input: {required: [ticket], type: object}}
                    instructions: prompt.md
                    model: {parameters: {temperature: 2e-1}, name: claude-sonnet-4-5, provider: anthropic}
                    description: >-
                        Sorts
                        tickets.
                metadata: {name: triage, labels: {"domain": tickets}, version: 1.0.0}
                """.replacing("2e4", with: "20000")
        }
        #expect(restyled.digest == digest)
    }

    @Test("What is not in the bundle does not change it")
    func unrelated() throws {
        let digest = try compile().digest
        let changes: [(inout FleetFixture) -> Void] = [
            { $0.replace("ada@example.com", with: "bo@example.com", in: FleetFixture.teamPath) },
            { $0.replace("3.00", with: "4.00", in: FleetFixture.pricesPath) },
            {
                $0.replace(
                    "keepFor: 7d",
                    with: "keepFor: 7d\n  soak: 48h\n  rollout: {immediate: {}}",
                    in: FleetFixture.environmentPath
                )
            },
            { $0.replace("limits: {", with: "rollout: {immediate: {}}\n  limits: {", in: FleetFixture.deploymentPath) },
            { $0.today = "2030-01-01" },
            { $0.entries["fleet/agents/support/triage/1.0.0/notes.md"] = .text("x") },
            {
                $0.replace(
                    "risk: high}",
                    with: "risk: high}\n    other: {access: read, risk: low}",
                    in: FleetFixture.toolPath
                )
            },
            { $0.replace("roles: [reader]", with: "roles: [reader]\n  halted: true", in: FleetFixture.deploymentPath) },
        ]
        for (index, change) in changes.enumerated() {
            #expect(try compile(.triage, change).digest == digest, "change \(index)")
        }
        #expect(
            try compile { $0.replace("roles:", with: "halted: true\n  roles:", in: FleetFixture.deploymentPath) }.halted
        )
    }

    // MARK: What matters

    @Test("Each thing that an agent's runtime reads changes the digest; what no environment decides, the artifact too")
    func digestChanges() throws {
        let before = try compile()
        let (agent, tool) = (FleetFixture.agentPath, FleetFixture.toolPath)
        let (deployment, environment) = (FleetFixture.deploymentPath, FleetFixture.environmentPath)
        for (path, old, new, isArtifact) in [
            (agent, "Sorts tickets.", "Sorts.", false), (agent, "domain: tickets", "domain: x", false),
            (agent, "anthropic", "openai", true), (agent, "claude-sonnet-4-5", "claude-sonnet-5", true),
            (agent, "0.2", "0.3", true), (agent, "[ticket]", "[ticket, x]", true),
            (agent, "steps: 8", "steps: 9", false),
            (agent, "tokens: 20000", "tokens: 20001", false), (agent, "costUSD: 0.5", "costUSD: 0.6", false),
            (agent, "seconds: 90", "seconds: 91", false), (agent, "kind: langgraph", "kind: crewai", true),
            (agent, "agents: [support/desk]", "agents: []", true),
            (agent, "[find, update, erase]", "[find, update]", true),
            (FleetFixture.promptPath, "Sort", "Please sort", true),
            (tool, "crm-mcp", "crm-mcp2", false), (tool, "support", "it", nil),
            (tool, "timeout: 5s", "timeout: 6s", true),
            (tool, "idempotent: true", "idempotent: false", true), (tool, "risk: medium", "risk: high", true),
            (tool, "access: write", "access: execute", true), (tool, "maximum: 500", "maximum: 400", true),
            (tool, "output: {type: object}", "output: {}", true), (tool, "vault:crm", "vault:x", nil),
            (tool, "access: execute, risk", "description: Gone., access: execute, risk", true),
            (deployment, "approval: manager", "approval: dual", false),
            (deployment, "maximum: 100", "maximum: 99", false),
            (deployment, "2027-06-30", "2027-07-01", false),
            (deployment, "costUSDPerDay: 40", "costUSDPerDay: 41", false),
            (deployment, "roles: [reader]", "roles: []", false),
            (deployment, "roles:", "autonomy: low-risk\n  roles:", false),
            (environment, "agents.example.com", "example.com", false),
            (FleetFixture.bindingPath, "crm.example.com", "crm2.example.com", false),
            (FleetFixture.bindingPath, "vault:crm-prod", "vault:x", false),
            (FleetFixture.rolePath, "[find]}", "[find], approval: manager}", false),
        ] as [(String, String, String, Bool?)] {
            let after = try compile { fixture in
                if new == "it" { fixture["fleet/teams/it.yaml"] = team("{members: []}") }
                fixture.replace(old, with: new, in: path)
            }
            // A binding is in the way of the tool's own server and credentials; the owner is in no bundle.
            let isHidden = isArtifact == nil || new == "crm-mcp2"
            #expect((after.digest != before.digest) == !isHidden, "\(path): \(new)")
            #expect((after.artifact != before.artifact) == (isArtifact ?? false), "\(path): \(new)")
        }
    }

    @Test("The artifact is the same in every environment and under every version's name")
    func artifact() throws {
        let prod = try compile()
        let dev = try compile(in: "dev") { fixture in
            deployInDev(&fixture, "{version: 1.0.0, autonomy: draft, roles: [reader]}")
        }
        #expect(dev.artifact == prod.artifact)
        #expect(dev.digest != prod.digest)
        let next = try compile(in: "dev") { fixture in
            deployInDev(&fixture, "{version: next, roles: [reader]}")
            for (path, text) in fixture.entries where path.hasPrefix("fleet/agents/support/triage/1.0.0/") {
                fixture.entries[path.replacing("1.0.0", with: "next")] = text
            }
        }
        #expect(next.artifact == prod.artifact)
        #expect(next.version == .next)
        // It is a digest of its own, not that of the bundle.
        #expect(prod.artifact != prod.digest)
    }

    @Test("`runtime` is part of the artifact where it is declared, and the former artifact is known")
    func runtime() throws {
        func with(_ runtime: String) throws -> CompiledBundle {
            try compile { fixture in
                fixture.replace(
                    "runtime: {kind: langgraph, graph: \"tickets:graph\"}",
                    with: runtime,
                    in: FleetFixture.agentPath
                )
            }
        }
        let (none, one, other) = try (with(""), with("runtime: {graph: a}"), with("runtime: {graph: b}"))
        #expect(Set([none, one, other].map(\.artifact)).count == 3)
        #expect(
            [none.formerArtifact, one.formerArtifact, other.formerArtifact] == [
                nil, none.artifact, none.artifact,
            ]
        )
    }

    @Test("Comparing versions alone gives the same artifact, with everything granted")
    func alone() throws {
        let fleet = FleetFixture().fleet()
        let version = try #require(AgentVersion("1.0.0"))
        let loaded = try #require(try fleet.agent(.triage, version))
        let alone = try #require(try Compiler.compileAlone(loaded, fleet: fleet))
        #expect(alone.artifact == (try compile().artifact))
        #expect(try alone.bundle.tools.first?.operations.keys.sorted() == ["erase", "find", "update"])
    }

    // MARK: Autonomy

    private func approvals(_ autonomy: String) throws -> [String: Approval] {
        let compiled = try compile { fixture in
            fixture.replace("roles:", with: "autonomy: \(autonomy)\n  roles:", in: FleetFixture.deploymentPath)
            fixture.replace("approval: manager", with: "approval: none", in: FleetFixture.deploymentPath)
            fixture.replace("risk: low", with: "risk: medium", in: FleetFixture.toolPath)
            fixture.replace(
                "risk: high}",
                with: "risk: high}\n    note: {access: write, risk: low}",
                in: FleetFixture.toolPath
            )
            fixture.replace("[find, update, erase]", with: "[find, update, erase, note]", in: FleetFixture.agentPath)
            fixture.replace("operations: [update]", with: "operations: [update, note]", in: FleetFixture.deploymentPath)
            fixture.replace(
                "properties:\n          credit: {maximum: 100}",
                with: "{}",
                in: FleetFixture.deploymentPath
            )
        }
        #expect(try compiled.bundle.autonomy.rawValue == autonomy)
        return try compiled.bundle.tools.first?.operations.mapValues(\.approval) ?? [:]
    }

    @Test("draft leaves only operations that read")
    func draft() throws {
        #expect(try approvals("draft") == ["find": .none])
    }

    @Test("approve puts a manager's approval on every other operation")
    func approve() throws {
        #expect(try approvals("approve") == ["find": .none, "note": .manager, "update": .manager, "erase": .dual])
    }

    @Test("low-risk does so on those above low risk")
    func lowRisk() throws {
        #expect(try approvals("low-risk") == ["find": .none, "note": .none, "update": .manager, "erase": .dual])
    }

    @Test("full adds nothing")
    func full() throws {
        #expect(try approvals("full") == ["find": .none, "note": .none, "update": .none, "erase": .dual])
    }

    @Test("Each step of the ramp allows at least what the step before allowed, and never less than the grant asks for")
    func ramp() {
        for access in Access.allCases {
            for risk in Risk.allCases {
                for granted in Approval.allCases {
                    let steps = Autonomy.allCases.sorted().map {
                        $0.approval(for: access, risk: risk, granted: granted)
                    }
                    for (before, after) in zip(steps, steps.dropFirst()) {
                        guard let before else { continue }
                        #expect(after.map { $0 <= before } == true, "\(access) \(risk) \(granted): \(steps)")
                    }
                    #expect(steps.allSatisfy { $0.map { $0 >= granted } ?? true })
                }
            }
        }
    }

    // MARK: Tools

    @Test("A binding replaces server and credentials, each for itself")
    func bindings() throws {
        func reach(_ spec: String?) throws -> (server: JSONValue?, credentials: String?) {
            let tool = try compile { fixture in
                fixture[FleetFixture.bindingPath] = spec.map {
                    "apiVersion: ensign.dev/v1\nkind: Binding\nspec: \($0)\n"
                }
            }.bundle.tools.first
            return (tool?.server, tool?.credentials)
        }
        let own: JSONValue = ["mcp": ["command": ["crm-mcp", "--stdio"]]]
        #expect(try reach(nil) == (own, "vault:crm"))
        #expect(try reach("{}") == (own, "vault:crm"))
        #expect(try reach("{credentials: {ref: \"env:CRM\"}}") == (own, "env:CRM"))
        #expect(try reach("{server: {mcp: {url: \"https://x\"}}}") == (["mcp": ["url": "https://x"]], "vault:crm"))
    }

    @Test("Only what is needed and granted is in the bundle; a tool of which nothing is left is not there at all")
    func leastAuthority() throws {
        let some = try compile { $0.replace("roles: [reader]", with: "roles: []", in: FleetFixture.deploymentPath) }
        #expect(try some.bundle.tools.map { $0.operations.keys.sorted() } == [["erase", "update"]])
        let fewer = try compile { $0.replace("[find, update, erase]", with: "[find]", in: FleetFixture.agentPath) }
        #expect(try fewer.bundle.tools.map { $0.operations.keys.sorted() } == [["find"]])
        let none = try compile { fixture in
            fixture[FleetFixture.deploymentPath] =
                "apiVersion: ensign.dev/v1\nkind: Deployment\nspec: {version: 1.0.0}\n"
        }
        #expect(try none.bundle.tools == [])
        let drafted = try compile { fixture in
            fixture.replace("roles: [reader]", with: "roles: []\n  autonomy: draft", in: FleetFixture.deploymentPath)
        }
        #expect(try drafted.bundle.tools == [])
    }

    @Test("The input schema is the operation's own, narrowed by the grant")
    func narrowedInput() throws {
        let operations = try #require(try compile().bundle.tools.first?.operations)
        #expect(
            operations["update"]?.input?["properties"]?["credit"] == ["type": "number", "minimum": 0, "maximum": 100]
        )
        #expect(operations["update"]?.input?["required"] == ["customer"])
        #expect(operations["find"]?.input == ["type": "object", "properties": ["name": ["type": "string"]]])
        #expect(operations["erase"]?.input == nil)
        #expect(operations["update"]?.expires?.description == "2027-06-30")
    }

    @Test("Tools and delegates are sorted, whatever the order in the manifest")
    func sorted() throws {
        let compiled = try compile { fixture in
            fixture["fleet/tools/aaa/1.0.0.yaml"] = fixture[FleetFixture.toolPath]
            fixture.replace(
                "- {tool: crm, version: 1.0.0, operations: [find, update, erase]}",
                with:
                    "- {tool: crm, version: 1.0.0, operations: [find]}\n      - {tool: aaa, version: 1.0.0, operations: [find]}",
                in: FleetFixture.agentPath
            )
            fixture.replace(
                "[{tool: crm, operations: [find]}]",
                with: "[{tool: crm, operations: [find]}, {tool: aaa, operations: [find]}]",
                in: FleetFixture.rolePath
            )
        }
        #expect(try compiled.bundle.tools.map(\.tool) == ["aaa", "crm"])
    }

    @Test("The identity is a SPIFFE id with the environment's trust domain; fleet.local without one")
    func identity() throws {
        #expect(try compile().bundle.identity == "spiffe://agents.example.com/prod/support/triage")
        let local = try compile {
            $0.replace("  trustDomain: agents.example.com\n", with: "", in: FleetFixture.environmentPath)
        }
        #expect(try local.bundle.identity == "spiffe://fleet.local/prod/support/triage")
    }

    @Test("Instructions are the file's text as it is, but for CR LF and a byte order mark")
    func instructions() throws {
        let compiled = try compile { fixture in
            fixture.entries[FleetFixture.promptPath] = .bytes(
                [0xEF, 0xBB, 0xBF] + Array("a\r\n\tb  \r\n\r\né\u{301}".utf8)
            )
        }
        #expect(try Array((compiled.bundle.instructions ?? "").utf8) == Array("a\n\tb  \n\né\u{301}".utf8))
    }

    @Test("Without a deployment, or with an error in what it needs, there is no bundle, and a finding says why")
    func noBundle() throws {
        let fixture = FleetFixture()
        #expect(try fixture.compile(.triage, in: "dev") == nil)
        for path in [
            FleetFixture.agentPath, FleetFixture.promptPath, FleetFixture.toolPath, FleetFixture.deploymentPath,
            FleetFixture.environmentPath, FleetFixture.bindingPath, FleetFixture.rolePath, FleetFixture.teamPath,
        ] {
            for entry in [MemorySnapshot.Entry.bytes([0]), .bytes([]), .huge(1 << 30), .symlink] {
                var fixture = FleetFixture()
                fixture.entries[path] = entry
                let fleet = fixture.fleet()
                _ = try EnvironmentCompiler(fleet: fleet, environment: "prod").compile(.triage)
                #expect(fleet.hasErrors, "\(path)")
            }
        }
    }
}

/// A snapshot that lists folders backwards.
private final class ReversedSnapshot: Snapshot {
    private let snapshot: MemorySnapshot

    init(_ snapshot: MemorySnapshot) { self.snapshot = snapshot }

    var root: SnapshotNode { snapshot.root }
    func children(of node: SnapshotNode) throws -> [SnapshotNode] { try snapshot.children(of: node).reversed() }
    func size(of node: SnapshotNode) throws -> Int { try snapshot.size(of: node) }
    func bytes(of node: SnapshotNode) throws -> [UInt8] { try snapshot.bytes(of: node) }
}
