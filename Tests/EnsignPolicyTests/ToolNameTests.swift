import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Testing

@Suite("Names of tools in telemetry")
struct ToolNameTests {
    /// A bundle that grants these operations, as `tool.operation`.
    private func names(_ granted: String...) -> ToolNames {
        var tools: [String: [String: BundleOperation]] = [:]
        for name in granted {
            let parts = name.split(separator: ".").map(String.init)
            tools[parts[0], default: [:]][parts[1]] = BundleOperation(
                description: nil,
                access: .read,
                risk: .low,
                approval: .none,
                idempotent: true,
                timeout: nil,
                expires: nil,
                input: nil,
                output: nil
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
                model: Model(provider: "p", name: "m", parameters: nil),
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
