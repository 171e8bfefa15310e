import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Foundation
import Testing

@Suite("Names of tools in telemetry")
struct ToolNameTests {
    /// A bundle that grants these operations, as `tool.operation`.
    private func names(_ granted: String...) -> ToolNames { names(granted.map { ($0, nil) }) }

    private func names(_ granted: [(name: String, server: String?)]) -> ToolNames {
        var tools: [String: [String: BundleOperation]] = [:]
        for (name, server) in granted {
            let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
            tools[parts[0], default: [:]][parts[1]] = BundleOperation(
                description: nil,
                access: .read,
                risk: .low,
                approval: .none,
                idempotent: true,
                timeout: nil,
                expires: nil,
                input: nil,
                output: nil,
                serverTool: server
            )
        }
        guard let digest = Digest(hex: String(repeating: "a", count: 64)), let version = SemanticVersion("1.0.0"),
            let agentVersion = AgentVersion("1.0.0")
        else { preconditionFailure("constants") }
        return ToolNames(
            Bundle(
                agent: AgentID(team: "support", name: "desk"),
                version: agentVersion,
                environment: "prod",
                artifact: digest,
                identity: "",
                description: "",
                labels: [:],
                model: Model(provider: "p", name: "m"),
                instructions: "",
                contract: Contract(input: nil, output: nil),
                tools: tools.sorted { $0.key < $1.key }.map { tool, operations in
                    BundleTool(
                        tool: tool,
                        version: version,
                        description: nil,
                        server: nil,
                        credentials: nil,
                        operations: operations
                    )
                },
                delegates: [],
                autonomy: .full,
                limits: BundleLimits(
                    run: RunLimits(steps: nil, tokens: nil, costUSD: nil, seconds: nil),
                    costUSDPerDay: nil
                ),
                runtime: .null
            )
        )
    }

    @Test(
        "A server's or a framework's spelling of a granted operation is that operation",
        arguments: [
            "payments__get-payment", "payments.get-payment", "payments/get-payment", "get-payment", "get_payment",
            "get.payment", "getPayment", "GetPayment", "GET_PAYMENT", "payments_get_payment", "payments-get-payment",
            "Payments.getPayment", "payments.get.payment", "mcp__payments__get_payment", "mcp__payments__get-payment",
            "mcp_payments_get_payment", "mcp.payments.get_payment", "PAYMENTS__GET_PAYMENT", "paymentsGetPayment",
        ]
    )
    func spellings(_ name: String) {
        #expect(names("payments.get-payment", "crm.find").meaning(of: name) == "payments.get-payment")
    }

    @Test(
        "A name that is not a spelling of a granted operation means nothing",
        arguments: [
            "", "_", "__", ".", "-", "payments__", "__get-payment", "get", "payment", "getpayments", "get_payments",
            "get__payment", "get/payment", "crm__get-payment", "crm.get_payment", "other__get-payment",
            "payments__find", "payments_find", "crm_get_payment", "mcp__get_payment", "mcp__crm__get_payment",
            "mcp__other__get_payment", "mcp__", "payments__get_payment__now", "get_payment_", "_get_payment",
            "xget_payment", "payments..get-payment", "pay-ments_get-payment", "shell__run",
            String(repeating: "a", count: 300),
        ]
    )
    func strangers(_ name: String) {
        #expect(names("payments.get-payment", "crm.find").meaning(of: name) == nil)
    }

    private struct Vector: Decodable {
        struct Granted: Decodable {
            var tool: String
            var operation: String
            var server: String?
        }
        struct Name: Decodable {
            var name: String
            var means: [String]
        }
        var granted: [Granted]
        var names: [Name]
    }

    @Test("A name means what the committed vectors say: the one granted operation that it can mean")
    func vectors() throws {
        let vectors = try JSONDecoder().decode([Vector].self, from: Vectors.read("tool-names.json"))
        #expect(vectors.reduce(0) { $0 + $1.names.count } >= 150)
        for vector in vectors {
            let names = names(vector.granted.map { ("\($0.tool).\($0.operation)", $0.server) })
            for each in vector.names {
                let found: [String] =
                    switch names.resolve(each.name) {
                    case .operation(let operation): [operation.description]
                    case .ambiguous(let operations): operations.map(\.description)
                    case .nothing: []
                    }
                #expect(found == each.means, "\(each.name) among \(vector.granted)")
                // To telemetry, several that are granted are not unknown.
                if !found.isEmpty { #expect(names.meaning(of: each.name) != nil) }
                if found.count == 1 { #expect(names.meaning(of: each.name) == found[0]) }
            }
        }
    }

    @Test("Whatever is granted, a model's name for an operation means it, and telemetry knows it by each of its names")
    func everyName() {
        var generator = SeededGenerator(for: "tool names", standard: 0x0A11)
        for _ in 0..<500 {
            let granted = Set(
                (0..<Int.random(in: 1...12, using: &generator)).map { _ -> String in
                    let tool = ["a", "b", "a-b", "a--b", "get"].randomElement(using: &generator) ?? "a"
                    let length = [1, 2, 3, 5, 128].randomElement(using: &generator) ?? 1
                    let name = (0..<length).map { _ in Array("ab_-.AB0").randomElement(using: &generator) ?? "a" }
                    return "\(tool).\(String(name))"
                }
            )
            let names = names(granted.map { ($0, nil) })
            for call in granted {
                let parts = call.split(separator: ".", maxSplits: 1).map(String.init)
                let modelName = ModelName.name(parts[0], parts[1])
                #expect(names.meaning(of: modelName) == call, "seed \(generator.seed)")
                for name in [call, parts[1], "\(parts[0])_\(parts[1])", "mcp__\(parts[0])__\(parts[1])"] {
                    #expect(names.meaning(of: name) != nil, "\(name) among \(granted), seed \(generator.seed)")
                }
            }
        }
    }

    /// Asks the Python client the same: `[[granted, names], ...]` in, `[[[operation, ...], ...], ...]` out.
    private static let client = """
        import json, sys
        import ensign
        def operation(tool, name, server):
            values = dict.fromkeys(ensign.Operation.__dataclass_fields__)
            return ensign.Operation(**{**values, "tool": tool, "name": name, "server_tool": server or name})
        answers = []
        for granted, names in json.load(sys.stdin):
            index = ensign._Names(operation(*each) for each in granted)
            answers.append([[f"{one.tool}.{one.name}" for one in index.find(name)] for name in names])
        print(json.dumps(answers))
        """

    @Test("The Python client decides the same, whatever is granted and however it is spelled")
    func pythonClient() throws {
        var generator = SeededGenerator(for: "clients", standard: 0x0A11)
        var questions: [[[[String?]]]] = []
        for _ in 0..<200 {
            var granted: [[String?]] = []
            for _ in 0..<generator.int(1...8) {
                let tool = generator.pick(["a", "b", "a-b", "a--b", "mcp", "ab"])
                let name = String((0..<generator.int(1...6)).map { _ in generator.pick(Array("ab_-.AB0")) })
                let server = generator.once(in: 5) ? generator.pick(["a/b", "A.b/c", "a b", "b_a"]) : nil
                if !granted.contains(where: { $0[0] == tool && $0[1] == name }) {
                    granted.append([tool, name, server])
                }
            }
            var names: [String?] = []
            for each in granted {
                let (tool, name) = (each[0] ?? "", (generator.once(in: 2) ? each[2] : nil) ?? each[1] ?? "")
                let separator = generator.pick(["__", "_", ".", "/", "-"])
                let whole = [name, "\(tool)\(separator)\(name)", "mcp__\(tool)__\(name)", ModelName.name(tool, name)]
                names += whole
                names += whole.map { generator.once(in: 2) ? $0.uppercased() : $0.replacing("__", with: "_") }
            }
            questions.append([granted, [names]])
        }
        let input = try JSONEncoder().encode(questions)
        let folder = Vectors.package + "/clients/python"
        // The names are one list in the second part.
        let script = Self.client.replacing("for granted, names in", with: "for granted, (names,) in")
        let result = try run("python3", ["-c", script], in: folder, input: String(decoding: input, as: UTF8.self))
        #expect(result.status == 0, "\(result.errors)")
        let answers = try JSONDecoder().decode([[[String]]].self, from: Data(result.output.utf8))
        for (question, answer) in zip(questions, answers) {
            let tools = names(question[0].map { ("\($0[0] ?? "").\($0[1] ?? "")", $0[2]) })
            for (name, means) in zip(question[1][0], answer) {
                let found: [String] =
                    switch tools.resolve(name ?? "") {
                    case .operation(let operation): [operation.description]
                    case .ambiguous(let operations): operations.map(\.description)
                    case .nothing: []
                    }
                #expect(found == means, "\(name ?? "") among \(question[0]), seed \(generator.seed)")
            }
        }
    }

    @Test("The name of an operation that is not granted does not mean one that is")
    func declared() {
        let names = names([("docs.search", "find_all"), ("x.a.b", nil), ("y.a__b", nil)])
        func meaning(_ name: String) -> String? {
            names.meaning(of: name) { ["a": ["b"], "docs": ["search", "find_all", "drop"], "x": ["a.b"]][$0] ?? [] }
        }
        #expect(meaning("a.b") == nil && meaning("a__b") == nil, "a.b is there, and not granted")
        #expect(meaning("x.a.b") == "x.a.b" && meaning("y_a__b") == "y.a__b")
        for name in ["find_all", "docs_find_all", "findAll", "mcp__docs__find_all"] {
            #expect(meaning(name) == "docs.search", "the server's name for it")
        }
        for name in ["drop", "docs_drop", "docs__drop", "mcp__docs__drop"] { #expect(meaning(name) == nil) }
    }

    @Test("What could just as well be an operation that is not granted means nothing")
    func ambiguous() {
        let names = names("crm.find-all", "reports.payments-summary", "desk.get-mail")
        func meaning(_ name: String) -> String? {
            names.meaning(of: name) { tool in
                ["crm-find": ["all"], "payments": ["summary"], "get": ["mail"]][tool] ?? []
            }
        }
        // crm-find.all, payments.summary and get.mail are there too.
        for name in ["crm_find_all", "crm-find-all", "payments_summary", "get.mail"] { #expect(meaning(name) == nil) }
        // Here it is said which one is meant.
        #expect(meaning("crm__find_all") == "crm.find-all")
        #expect(meaning("crm.findAll") == "crm.find-all")
        #expect(meaning("payments-summary") == "reports.payments-summary", "as the manifest writes it")
        #expect(meaning("reports_payments_summary") == "reports.payments-summary")
        #expect(names.meaning(of: "crm_find_all") == "crm.find-all", "nothing else is declared")
    }

    @Test("A name that several granted operations have is granted, and one of a tool alone")
    func several() {
        let names = names("crm.find", "tickets.find")
        #expect(names.meaning(of: "find") == "find")
        #expect(names.meaning(of: "CRM") == "crm")
        #expect(names.meaning(of: "tickets_find") == "tickets.find")
        #expect(names.count == 2)
    }

    @Test("Names of one call are the same in words, or one is the end of the other")
    func same() {
        for (one, other) in [
            ("lookup", "payments.lookup"), ("get_weather", "weather.get-weather"), ("a", "A"), ("getIt", "x__get_it"),
            ("payments.lookup", "mcp__payments__lookup"),
        ] {
            #expect(ToolNames.mayBeSame(one, other) && ToolNames.mayBeSame(other, one))
        }
        for (one, other) in [
            ("lookup", "backlookup"), ("a", "b"), ("", ""), ("", "a"), ("payments", "payments.lookup"),
        ] {
            #expect(!ToolNames.mayBeSame(one, other) && !ToolNames.mayBeSame(other, one))
        }
        #expect(ToolNames.isEnd("lookup", of: "payments.lookup") && !ToolNames.isEnd("payments.lookup", of: "lookup"))
        #expect(ToolNames.areSame("get_payment", "getPayment") && !ToolNames.areSame("lookup", "payments.lookup"))
    }

    @Test("A tool's name may be that of a tool, an operation, or both")
    func toolsAndOperations() {
        let names = ToolNames(bundle())
        for name in ["crm__find", "crm.find", "crm/find", "find", "crm"] { #expect(names.meaning(of: name) != nil) }
        for name in ["crm__delete", "crm.delete", "other__find", "delete", "", "__", "crm__", "find__crm"] {
            #expect(names.meaning(of: name) == nil)
        }
    }

    @Test("Whatever a bundle grants and a name says, there is a meaning or none")
    func hostile() {
        Hostile.variants(of: bundle().json, for: "tool names", pairs: 100) { json in
            guard let bundle = Bundle(json: json) else { return }
            for name in ["crm__find", "__", "."] + Hostile.texts { _ = ToolNames(bundle).meaning(of: name) }
        }
    }
}
