import EnsignGateway
import EnsignJSON
import EnsignMCP
import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Synchronization
import Testing

/// `ensign check`, the gateway and the client for Python decide about the same calls. The client knows grants, days and
/// approvals; arguments are the other two's.
@Suite("One decision, three users")
struct AgreementTests {
    /// An answer as all three can give it.
    private struct Verdict: Hashable, CustomStringConvertible {
        /// A refusal's reason; nil for a call that is allowed, or waits for people.
        var reason: String?
        var operation: String?
        var approval = "none"

        var description: String { "\(reason ?? "-") \(operation ?? "-") \(approval)" }
    }

    private struct Case {
        var fixture: GateFixture
        var bundle: Bundle
        var calls: [(name: String, arguments: JSONValue)]
    }

    private static let tools = ["billing", "crm"]
    private static let operations = ["find", "find-all", "get_it", "update", "x"]
    private static let day = Timestamp(seconds: StandingClock().now / 1_000_000_000).date

    // MARK: Making

    private func bundle(_ generator: inout SchemaGenerator) -> Bundle {
        open { bundle in
            let standard = bundle.tools[0]
            bundle.tools = Self.tools.prefix(generator.random.int(1...2)).map { name in
                var tool = standard
                (tool.tool, tool.server, tool.operations) = (name, nil, [:])
                for name in Self.operations where !generator.random.once(in: 3) {
                    let approval = generator.random.pick([Approval.none, .none, .manager, .dual])
                    var made = operation(generator.random.pick([.read, .write]), .low, approval)
                    let schema = generator.root()
                    if schema.object != nil, !generator.random.once(in: 5) { made.input = schema }
                    let days: [Int64?] = [nil, nil, nil, -1, 0, 1]
                    made.expires = generator.random.pick(days).map {
                        Timestamp(seconds: StandingClock().now / 1_000_000_000 + $0 * 86_400).date
                    }
                    tool.operations[name] = made
                }
                return tool
            }
        }
    }

    private func call(_ generator: inout SchemaGenerator) -> (name: String, arguments: JSONValue) {
        let tool = generator.random.pick(Self.tools + ["nobody"])
        let name = generator.random.pick(Self.operations + ["other"])
        let joint = generator.random.pick(["__", "__", "__", "__", ".", "_", "/", "-"])
        let spelled = generator.random.pick([
            "\(tool)\(joint)\(name)", "\(tool)__\(name)", name, "mcp__\(tool)__\(name)",
        ])
        let value = generator.value(depth: 3)
        return (spelled, generator.random.once(in: 4) ? [:] : value.object == nil ? ["a": value] : value)
    }

    private func cases() throws -> [Case] {
        var generator = SchemaGenerator(SeededGenerator(for: "one decision", standard: 0x6A7E))
        return try rounds(120).map { _ in
            let bundle = bundle(&generator)
            let fixture = try GateFixture(
                upstream: "{command: [/usr/bin/crm]}\n    billing: {command: [/usr/bin/billing]}"
            )
            fixture.server.contents.withLock { contents in
                contents.listing = ServerListing(
                    tools: Self.operations.map { ServerListing.Tool(name: $0, input: ["type": "object"]) }
                )
            }
            try fixture.publishPolicy()
            try fixture.publish(bundle)
            return Case(fixture: fixture, bundle: bundle, calls: (0..<25).map { _ in call(&generator) })
        }
    }

    // MARK: Asking

    /// What `ensign check` says.
    private func check(_ call: (name: String, arguments: JSONValue), _ bundle: Bundle) -> Verdict {
        guard case .operation(let found) = ToolNames(bundle).resolve(call.name) else {
            return Verdict(reason: "not-granted")
        }
        let wanted = CallPolicy.Call(tool: found.tool, operation: found.name, arguments: call.arguments)
        // A schema that nothing can be held against lets nothing through.
        guard let verdict = try? CallPolicy.decide(wanted, by: .live(bundle), today: Self.day) else {
            return Verdict(reason: "unavailable")
        }
        switch verdict {
        case .allowed: return Verdict(operation: wanted.name)
        case .needsApproval(let approval): return Verdict(operation: wanted.name, approval: approval.rawValue)
        case .refused(.notGranted): return Verdict(reason: "not-granted")
        case .refused(.expired): return Verdict(reason: "expired")
        case .refused(.arguments): return Verdict(reason: "arguments")
        case .refused(let other):
            Issue.record("\(other) is not asked for here")
            return Verdict()
        }
    }

    private func gate(_ call: (name: String, arguments: JSONValue), _ fixture: GateFixture, run: Int) -> Verdict {
        let sent = fixture.server.calls.count
        let answer = fixture.call(call.name, call.arguments, run: "r\(run)")
        let operation = fixture.log.last?.operation
        switch answer.reason {
        case nil:
            #expect(fixture.server.calls.count == sent + 1)
            return Verdict(operation: operation)
        case "approval-pending"?:
            let needed = fixture.desk.contents.withLock { $0.questions.last?.needed }
            return Verdict(operation: operation, approval: needed?.rawValue ?? "")
        case let reason: return Verdict(reason: reason)
        }
    }

    private static let script = """
        import datetime, json, logging, sys
        sys.path.insert(0, sys.argv[1])
        import ensign
        logging.disable()
        for line in sys.stdin:
            asked = json.loads(line)
            session = ensign.Fleet(asked["live"]).session("support/triage", key="k")
            today = datetime.date.fromisoformat(asked["today"])
            answers = []
            for name in asked["names"]:
                found = session.resolve(name, today=today)
                answers.append(found and [f"{found.tool}.{found.name}", found.approval])
            print(json.dumps(answers))
        """

    private func client(_ cases: [Case]) throws -> [[Verdict?]] {
        let lines = cases.map { one -> String in
            let names = one.calls.map { JSONValue.string($0.name) }
            return JSONValue.object([
                "live": .string(one.fixture.live), "today": .string(Self.day.description), "names": .array(names),
            ]).text
        }
        let result = try run(
            "python3",
            ["-c", Self.script, "\(packageRoot)/clients/python"],
            in: packageRoot,
            input: lines.joined(separator: "\n") + "\n"
        )
        #expect(result.status == 0, "\(result.errors)")
        return try result.output.split(separator: "\n").map { line in
            let answers = try #require(try JSONParser.parse(Array(line.utf8)).array)
            return answers.map { answer in
                answer[0]?.string.map { Verdict(operation: $0, approval: answer[1]?.string ?? "") }
            }
        }
    }

    // MARK: Comparing

    @Test("Gateway, check and client give the same answer to the same call")
    func agreement() throws {
        let cases = try cases()
        let answers = try client(cases)
        try #require(answers.count == cases.count)
        var seen: [String: Int] = [:]
        for (one, said) in zip(cases, answers) {
            for (index, call) in one.calls.enumerated() {
                let wanted = check(call, one.bundle)
                let found = gate(call, one.fixture, run: index)
                let place = "\(call.name) \(call.arguments.text) by \(one.bundle.json.text)"
                #expect(found == wanted, "gateway \(found), check \(wanted): \(place)")
                switch wanted.reason {
                case nil: #expect(said[index] == wanted, "client \(said[index]?.description ?? "no"): \(place)")
                case "not-granted"?, "expired"?: #expect(said[index] == nil, "the client allows it: \(place)")
                default: #expect(said[index] != nil, "the client refuses it: \(place)")
                }
                seen[wanted.reason ?? wanted.approval, default: 0] += 1
            }
        }
        for kind in ["none", "manager", "dual", "not-granted", "expired", "arguments"] {
            #expect(seen[kind, default: 0] > 30, "too few answers of the kind \(kind): \(seen)")
        }
    }
}
