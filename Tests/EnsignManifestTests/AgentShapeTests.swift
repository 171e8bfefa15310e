import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

/// Agents as they are: several prompts, models that take over, no model of their own, stores, triggers.
@Suite("The shapes of agents") struct AgentShapeTests {
    private func compile(_ change: (inout FleetFixture) -> Void) throws -> Bundle {
        var fixture = FleetFixture()
        change(&fixture)
        let fleet = fixture.fleet()
        let compiled = try EnvironmentCompiler(fleet: fleet, environment: "prod").compile(.triage)
        #expect(fleet.findings.map(\.message) == [])
        return try #require(compiled).bundle.bundle
    }

    private func agent(_ old: String, _ new: String) throws -> Bundle {
        try compile { $0.replace(old, with: new, in: FleetFixture.agentPath) }
    }

    /// What goes to a file and comes back is the same.
    private func expectRoundTrip(_ bundle: Bundle) {
        #expect(Bundle(json: bundle.json) == bundle)
    }

    @Test(
        "What an agent does not declare is the same from a file",
        arguments: [
            ", parameters: {temperature: 0.2}", "  runtime: {kind: langgraph, graph: \"tickets:graph\"}\n",
            "  limits: {steps: 8, tokens: 20000, costUSD: 0.5, seconds: 90}\n",
            "  contract:\n    input: {type: object, required: [ticket]}\n", "metadata: {labels: {domain: tickets}}\n",
        ]
    )
    func undeclared(part: String) throws { expectRoundTrip(try agent(part, "")) }

    @Test("Several prompts go into the bundle by name, and each is part of the artifact")
    func prompts() throws {
        func with(_ text: String) throws -> Bundle {
            try compile { fixture in
                fixture.replace(
                    "instructions: prompt.md",
                    with: "prompts: {triage: prompt.md, reply: reply.md}",
                    in: FleetFixture.agentPath
                )
                fixture["fleet/agents/support/triage/1.0.0/reply.md"] = text
            }
        }
        let (one, other) = try (with("Reply.\n"), with("Answer.\n"))
        #expect(one.instructions == nil)
        #expect(one.prompts == ["triage": "Sort the ticket.\n", "reply": "Reply.\n"])
        #expect(one.artifact != other.artifact)
        expectRoundTrip(one)
    }

    @Test("A prompt's file that is not there is an error at its name")
    func missingPrompt() {
        #expect(
            check(FleetFixture.agentPath, "instructions: prompt.md", "prompts: {triage: prompt.md, reply: ①repli.md}")
                .contains("there is no file 'repli.md' beside this one")
        )
    }

    @Test("Models that take over are in the bundle, and part of the artifact")
    func fallbacks() throws {
        let model = "parameters: {temperature: 0.2}"
        let plain = try agent(model, model)
        let bundle = try agent(model, "\(model), fallbacks: [{provider: openai, name: gpt-5}]")
        #expect(bundle.model?.keys == ["anthropic/claude-sonnet-4-5", "openai/gpt-5"])
        #expect(bundle.artifact != plain.artifact)
        expectRoundTrip(bundle)
    }

    private static let model =
        "  model: {provider: anthropic, name: claude-sonnet-4-5, parameters: {temperature: 0.2}}\n"
    private static let runtime = "runtime: {kind: langgraph, graph: \"tickets:graph\"}"
    private static let pinned = "sha256:" + String(repeating: "a", count: 64)

    @Test(
        "An agent without a model says by digest what it runs",
        arguments: [
            "runtime: {image: \"example/agent@\(pinned)\"}",
            "runtime: {graph: \"tickets:graph\", digest: \"\(pinned)\"}",
        ]
    )
    func withoutModel(_ runtime: String) throws {
        let bundle = try compile { fixture in
            fixture.replace(Self.model, with: "", in: FleetFixture.agentPath)
            fixture.replace(Self.runtime, with: runtime, in: FleetFixture.agentPath)
        }
        #expect(bundle.model == nil)
        expectRoundTrip(bundle)
    }

    @Test(
        "Without a model and a digest it is an error",
        arguments: [runtime, "runtime: {image: example/agent:latest}", "runtime: {digest: \"\(pinned)\"}", ""]
    )
    func neither(_ runtime: String) {
        var fixture = FleetFixture()
        fixture.replace(Self.model, with: "", in: FleetFixture.agentPath)
        fixture.replace(Self.runtime, with: runtime, in: FleetFixture.agentPath)
        #expect(fixture.check().contains("spec needs 'model'"))
    }

    @Test("What frameworks call an agent, and what starts it, are data in the bundle; the artifact is the same")
    func nameAndTriggers() throws {
        let plain = try agent("limits:", "limits:")
        let bundle = try agent(
            "limits:",
            "name: ticket_triage\n  triggers: [{cron: \"*/5 8-18 * * mon-fri\", timezone: Europe/Berlin}, {queue: tickets}]\n  limits:"
        )
        #expect(bundle.name == "ticket_triage")
        #expect(
            bundle.triggers.map { $0["cron"]?.string ?? $0["queue"]?.string } == ["*/5 8-18 * * mon-fri", "tickets"]
        )
        #expect(bundle.artifact == plain.artifact)
        expectRoundTrip(bundle)
        let replaced = try compile { fixture in
            fixture.replace("limits:", with: "triggers: [{queue: a}]\n  limits:", in: FleetFixture.agentPath)
            fixture.replace("limits:", with: "triggers: [{webhook: /b}]\n  limits:", in: FleetFixture.deploymentPath)
        }
        #expect(replaced.triggers.map { $0["webhook"]?.string } == ["/b"])
    }

    @Test(
        "A schedule that no crontab takes is refused",
        arguments: [
            "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5/2 * * * *", "a * * * *",
            "9-5 * * * *", "*/0 * * * *",
        ]
    )
    func schedule(_ text: String) {
        let found = check(FleetFixture.agentPath, "limits:", "triggers: [{cron: \"\(text)\"}]\n  limits:")
        #expect(found.contains("[invalid-value]"), "\(found)")
    }

    @Test("A store is a tool that says what it keeps; it is in the bundle only where it is declared")
    func store() throws {
        let store = "store: {kind: memory, scope: team, retention: 30d}\n  operations:"
        let bundle = try compile { $0.replace("operations:", with: store, in: FleetFixture.toolPath) }
        #expect(bundle.tools.first?.store?.sentence == "memory of the team, kept for 30d")
        expectRoundTrip(bundle)
        #expect(try agent("limits:", "limits:").json["tools"]?.array?.first?["store"] == nil)
    }

    @Test("A server is started as it is: environment, folder, headers, transport, with references for what is secret")
    func server() throws {
        let started = try compile { fixture in
            fixture[FleetFixture.bindingPath] =
                "apiVersion: ensign.dev/v1\nkind: Binding\nspec: {server: {mcp: {command: [crm-mcp], cwd: /srv, env: {PORT: 8080, KEY: {ref: \"vault:crm\"}}}}}\n"
        }
        #expect(started.tools.first?.server?["mcp"]?["env"] == ["PORT": "8080", "KEY": ["ref": "vault:crm"]])
        let called = try compile { fixture in
            fixture[FleetFixture.bindingPath] =
                "apiVersion: ensign.dev/v1\nkind: Binding\nspec: {server: {mcp: {url: \"https://a/mcp\", transport: sse, headers: {X-Team: support}}}}\n"
        }
        #expect(called.tools.first?.server?["mcp"]?["headers"] == ["X-Team": "support"])
        for wrong in [
            "{command: [a], url: \"https://a/\"}", "{url: \"https://a/\", env: {A: b}}",
            "{command: [a], headers: {A: b}}",
            "{command: [a], transport: http}", "{command: [a], env: {1A: b}}",
            "{url: \"https://a/\", headers: {\"a b\": c}}",
            "{command: [a], env: {A: {ref: literal}}}",
        ] {
            let text = "apiVersion: ensign.dev/v1\nkind: Binding\nspec: {server: {mcp: \(wrong)}}\n"
            #expect(check(FleetFixture.bindingPath, text).contains("error"), "\(wrong)")
        }
    }

    @Test(
        "What readers of YAML take for different things is the text that is written, and takes nothing else along",
        arguments: ["on", "01234", "12:30", "1_000", "12345678901234567890", "~"]
    )
    func ambiguous(_ text: String) throws {
        let bundle = try compile { fixture in
            fixture[FleetFixture.bindingPath] =
                "apiVersion: ensign.dev/v1\nkind: Binding\nspec: {server: {mcp: {command: [crm-mcp, \"a\"], cwd: /x, env: {A: \"\(text)\", B: c}}}}\n"
            fixture.replace(
                "limits:",
                with: "triggers: [{queue: a}, {queue: \"\(text)\"}]\n  limits:",
                in: FleetFixture.agentPath
            )
        }
        var plain = FleetFixture()
        plain[FleetFixture.bindingPath] =
            "apiVersion: ensign.dev/v1\nkind: Binding\nspec: {server: {mcp: {command: [crm-mcp, a], cwd: /x, env: {A: \(text), B: c}}}}\n"
        plain.replace(
            "limits:",
            with: "triggers: [{queue: a}, {queue: \(text)}]\n  limits:",
            in: FleetFixture.agentPath
        )
        let fleet = plain.fleet()
        let unquoted = try EnvironmentCompiler(fleet: fleet, environment: "prod").compile(.triage)?.bundle.bundle
        // Refused, or the same as in quotation marks.
        if let unquoted, !fleet.hasErrors {
            #expect(unquoted.tools.first?.server == bundle.tools.first?.server)
            #expect(unquoted.triggers == bundle.triggers)
        }
    }

    @Test(
        "A server, a skill or a store in `runtime` is a warning",
        arguments: [
            "{mcpServers: {shell: {command: bash}}}", "{a: {skills: [x]}}", "{memory: {kind: x}}", "{tools: []}",
        ]
    )
    func hidden(_ runtime: String) {
        let found = checkRuntime(runtime)
        #expect(found.contains("hidden-authority") && found.contains("warning"), "\(found)")
    }
}
