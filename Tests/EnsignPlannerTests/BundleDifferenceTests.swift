import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

@Suite("What kind of change it is")
struct BundleDifferenceTests {
    private func difference(_ change: (inout Bundle) -> Void) -> BundleDifference {
        BundleDifference(before: bundle(), after: bundle("support/triage", "1.0.0", change))
    }

    @Test("New agents and anything gained widen; nothing else does")
    func widening() {
        #expect(BundleDifference(before: nil, after: bundle()).kind == .widening)
        #expect(difference { $0.limits.run.steps = 9 }.kind == .widening)
        // Also when something is lost, and when the behaviour changes, at the same time.
        #expect(
            difference {
                $0.limits.run.steps = 9
                $0.tools[0].operations["find"] = nil
                $0.instructions = "x"
            }.kind == .widening
        )
    }

    @Test("No part of a server, a store or a model's name changes unseen")
    func nothingUnseen() {
        func with(_ change: @escaping (inout Bundle) -> Void) -> Bundle { bundle("support/triage", "1.0.0", change) }
        func model(_ provider: String, _ name: String) -> Model {
            Model(provider: provider, name: name)
        }
        let pairs: [(Bundle, Bundle)] = [
            (
                with { $0.model?.fallbacks = [model("a", "b, c/d")] },
                with { $0.model?.fallbacks = [model("a", "b"), model("c", "d")] }
            ),
            (with { $0.model = model("a", "b/c") }, with { $0.model = model("a/b", "c") }),
        ]
        for (before, after) in pairs { #expect(BundleDifference(before: before, after: after).kind == .behaviour) }
        let keeps = with { $0.tools[0].store = Store(kind: .memory, scope: .session) }
        #expect(BundleDifference(before: keeps, after: bundle()).kind == .widening)
        let headed = with { $0.tools[0].server = ["mcp": ["url": "https://b/", "headers": ["X-Role": "admin"]]] }
        let said = BundleDifference(before: bundle(), after: headed).authority.gained.joined()
        #expect(said.contains("X-Role") && said.contains("admin"), "\(said)")
    }

    @Test("Another behaviour with the same authority, or less, is behaviour")
    func behaviour() {
        let changes: [(inout Bundle) -> Void] = [
            { $0.instructions = "x" }, { $0.model?.name = "x" }, { $0.model?.parameters = ["temperature": 0.3] },
            { $0.model = nil }, { $0.model?.fallbacks = [Model(provider: "openai", name: "gpt")] },
            { $0.description = "x" }, { $0.prompts = ["reply": "x"] }, { $0.triggers = [["queue": "x"]] },
            { $0.contract.input = ["type": "object"] }, { $0.contract.output = false },
            { $0.runtime = ["kind": "crewai"] },
            { $0.tools[0].operations["find"]?.output = ["type": "object"] },
            { $0.tools[0].operations["find"]?.description = "x" },
            { $0.tools[0].operations["find"]?.timeout = TimeSpan("5s") },
            { $0.tools[0].operations["find"]?.idempotent = true },
            { $0.tools[0].description = "x" },
        ]
        for (index, change) in changes.enumerated() {
            #expect(difference(change).kind == .behaviour, "change \(index)")
            #expect(
                difference {
                    change(&$0)
                    $0.limits.run.steps = 7
                }.kind == .behaviour,
                "change \(index)"
            )
        }
    }

    @Test("Only less authority, and removal, is narrowing")
    func narrowing() {
        #expect(BundleDifference(before: bundle(), after: nil).kind == .narrowing)
        #expect(difference { $0.limits.run.steps = 7 }.kind == .narrowing)
        #expect(difference { $0.tools[0].operations["find"] = nil }.kind == .narrowing)
    }

    @Test("Labels and a name for telemetry alone change nothing that the agent does, and are shown")
    func inert() {
        let changed = difference {
            $0.name = "triager"
            $0.labels = ["a": "b", "c": "d"]
        }
        #expect(changed.kind == .none)
        #expect(
            changed.lines.map { "\($0.field): \($0.text)" } == [
                "name: triager (was none)", "labels: a=b, c=d (was none)",
            ]
        )
        #expect(difference { _ in }.kind == .none)
        #expect(difference { _ in }.lines == [])
    }

    @Test("No key of a free mapping is inert, whatever it is called")
    func freeKeys() {
        func with(_ key: String, _ object: JSONValue) -> JSONValue {
            var members = object.object ?? [:]
            members[key] = "x"
            return .object(members)
        }
        for key in ["owner", "approvers", "labels", "description", "name", "x.owner", "x.approvers", ""] {
            let changes: [(inout Bundle) -> Void] = [
                { $0.runtime = with(key, $0.runtime) },
                { $0.model?.parameters = with(key, ["temperature": 0.2]) },
            ]
            for change in changes { #expect(difference(change).kind == .behaviour, "\(key)") }
        }
    }

    @Test("What only looks the same is another text, wherever a bundle has one")
    func exactTexts() {
        func key(_ name: String, _ value: JSONValue) -> JSONValue { .object(JSONObject([(name, value)])) }
        // Each pair is equal by `==` of String, and not to whoever reads the bundle.
        for (was, now) in [("Key", "\u{212A}ey"), ("caf\u{E9}", "cafe\u{301}"), ("\u{3A9}", "\u{2126}")] {
            #expect(was == now)
            let behaviour: [(inout Bundle, String) -> Void] = [
                { $0.instructions = $1 }, { $0.prompts = ["reply": $1] }, { $0.description = $1 },
                { $0.model?.name = $1 }, { $0.model?.provider = $1 },
                { $0.model?.fallbacks = [Model(provider: "x", name: $1)] },
                { $0.model?.parameters = ["stop": .string($1)] },
                { $0.model?.parameters = key($1, 1) },
                { $0.runtime = ["image": .string($1)] }, { $0.runtime = key($1, 1) },
                { $0.triggers = [["queue": .string($1)]] }, { $0.tools[0].description = $1 },
                { $0.tools[0].operations["find"]?.description = $1 },
                { $0.tools[0].operations["find"]?.output = ["const": .string($1)] },
                { $0.tools[0].operations["find"]?.input = ["description": .string($1), "type": "object"] },
                { $0.contract.input = ["properties": key($1, ["type": "string"])] },
            ]
            for (index, change) in behaviour.enumerated() {
                let (before, after) = (bundle { change(&$0, was) }, bundle { change(&$0, now) })
                let found = BundleDifference(before: before, after: after)
                #expect(found.kind == .behaviour && !found.isEmpty, "behaviour \(index)")
            }
            let same = Precondition(tool: "crm", operation: "find", within: GuardChangeTests.span("1m"), same: was)
            var other = same
            other.same = now
            let authority: [(inout Bundle, Bool) -> Void] = [
                { $0.tools[0].credentials = "vault:" + ($1 ? now : was) },
                { $0.tools[0].operations["find"]?.serverTool = $1 ? now : was },
                { $0.tools[0].server = ["mcp": ["command": [.string($1 ? now : was)]]] },
                { $0.identity = $1 ? now : was },
                { $0.tools[0].operations["update"]?.after = [$1 ? other : same] },
                { $0.tools[0].operations["update"]?.record = [JSONPointer("/\($1 ? now : was)")].compactMap { $0 } },
                { $0.tools[0].operations["find"]?.input = ["enum": [.string($1 ? now : was)]] },
            ]
            for (index, change) in authority.enumerated() {
                let (before, after) = (bundle { change(&$0, false) }, bundle { change(&$0, true) })
                #expect(BundleDifference(before: before, after: after).kind == .widening, "authority \(index)")
            }
        }
    }

    @Test("Bundles with other bytes are never of no class, but for what is known to change nothing")
    func lastLine() {
        let open: [(inout Bundle) -> Void] = [
            { $0.limits.costUSDPerDay = nil }, { $0.delegates = [agent("it/desk")] }, { $0.autonomy = .draft },
            { $0.mode = .observe }, { $0.tools[0].version = SemanticVersion("3.0.0") ?? $0.tools[0].version },
            { $0.tools = [] }, { $0.identity = "x" }, { $0.tools[0].operations["find"]?.access = .write },
        ]
        for (index, change) in open.enumerated() { #expect(difference(change).kind != .none, "change \(index)") }
    }

    @Test("Lines say where and what, new value first")
    func lines() {
        let changed = difference {
            $0.model = Model(provider: "openai", name: "gpt", parameters: ["temperature": 0.3, "seed": 1])
            $0.runtime = [:]
            $0.contract.output = ["required": ["a"]]
            $0.instructions = "New.\n"
        }
        #expect(
            changed.lines.map { "\($0.field): \($0.text)" } == [
                "model: openai/gpt (was anthropic/claude-sonnet-4-5)", "model.parameters.seed: 1 (was not set)",
                "model.parameters.temperature: 0.3 (was 0.2)", "contract.output: {\"required\":[\"a\"]} (was true)",
                "runtime.kind: not set (was \"langgraph\")",
            ]
        )
        #expect(changed.texts.first?.before == "Sort.\n")
        #expect(changed.texts.first?.after == "New.\n")
    }

    @Test("What an operation newly allows is said in full, what allows more before what allows less")
    func nothingHides() {
        func schema(_ maximum: Int64, _ others: JSONObject) -> JSONValue {
            var schema = others
            schema["properties"] = ["amount": ["type": "number", "maximum": .integer(maximum)]]
            return .object(schema)
        }
        let noise: JSONObject = [
            "allOf": [["maxProperties": 9]], "anyOf": [["minProperties": 0]], "dependencies": ["note": ["ticket"]],
            "if": ["minProperties": 9], "then": ["maxProperties": 20], "maxProperties": 12, "minProperties": 1,
        ]
        let changed = AuthorityDifference(
            before: bundle { $0.tools[0].operations["find"]?.input = schema(100, [:]) },
            after: bundle { $0.tools[0].operations["find"]?.input = schema(5_000, noise) }
        )
        #expect(changed.gained.count == 1 && !changed.gained[0].contains("more"))
        #expect(changed.gained[0].contains("amount: maximum 5000 (was 100)"))
        let looser = changed.gained[0].firstRange(of: "amount: maximum")?.lowerBound
        let tighter = changed.gained[0].firstRange(of: "minProperties 1 (was not limited)")?.lowerBound
        #expect(looser != nil && tighter != nil && looser.map { $0 < (tighter ?? $0) } == true)
    }

    @Test("Many differences of a schema are summed up")
    func manyDifferences() {
        func schema(_ maximum: Int64) -> JSONValue {
            ["properties": .object(JSONObject((0..<10).map { ("p\($0)", ["maximum": .integer(maximum)]) }))]
        }
        let changed = BundleDifference(
            before: bundle { $0.contract.input = schema(1) },
            after: bundle { $0.contract.input = schema(2) }
        )
        #expect(changed.lines.first?.text.hasSuffix("p5: maximum 2 (was 1); and 4 more") == true)
    }
}
