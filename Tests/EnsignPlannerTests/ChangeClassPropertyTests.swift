import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Testing

/// The class of a change against brute force: every call of a small world is tried on the bundle before and on the bundle
/// after. What decides here shares nothing with the planner but the validator of JSON Schema.
@Suite("The class of a change, held against every call of a small world")
struct ChangeClassPropertyTests {
    @Test("A change that newly allows some call widens, whatever else it does", arguments: 0..<12 as Range<UInt64>)
    func newlyAllowed(batch: UInt64) throws {
        var world = SmallWorld(SeededGenerator(for: "change class \(batch)", standard: 90_000 + batch))
        var seen: [Change.Class: Int] = [:]
        for _ in 0..<120 {
            let before = world.bundle()
            let after = world.changed(before)
            let kind = BundleDifference(before: before, after: after).kind
            seen[kind, default: 0] += 1
            guard kind != .widening, let call = try world.newlyAllowed(before, after) else { continue }
            Issue.record(
                "seed \(world.random.seed): \(kind) allows \(call)\n  \(before.json.text)\n  \(after.json.text)"
            )
        }
        // The generator reaches all four, or the property would say little.
        for kind in [Change.Class.narrowing, .none, .behaviour, .widening] {
            #expect(seen[kind, default: 0] > 4, "\(kind)")
        }
    }
}

@Suite("A bundle restricted to what another one allows, held against every call of a small world")
struct RestrictionPropertyTests {
    @Test("What is left may do nothing that either of the two may not", arguments: 0..<6 as Range<UInt64>)
    func restricted(batch: UInt64) throws {
        var world = SmallWorld(SeededGenerator(for: "restriction \(batch)", standard: 91_000 + batch))
        var kept = 0
        for _ in 0..<120 {
            let before = world.bundle()
            let allowed = world.changed(before)
            let part = try Compiler.restrict(before, to: allowed).bundle
            kept += part.tools.isEmpty ? 0 : 1
            for (name, side) in [("itself", before), ("the other", allowed)] {
                // A server has no order: the bundle keeps its own, and so the calls that go there.
                var side = side
                for index in side.tools.indices {
                    guard let own = part.tools.first(where: { $0.tool == side.tools[index].tool }) else { continue }
                    (side.tools[index].server, side.tools[index].credentials) = (own.server, own.credentials)
                    for (operation, value) in side.tools[index].operations {
                        // Nor has what an operation does to the world.
                        guard let other = own.operations[operation] else { continue }
                        side.tools[index].operations[operation]?.access = max(value.access, other.access)
                        side.tools[index].operations[operation]?.risk = max(value.risk, other.risk)
                    }
                }
                if let call = try world.newlyAllowed(side, part) {
                    Issue.record("seed \(world.random.seed): \(name) does not allow \(call)\n  \(part.json.text)")
                }
                let conditions = AuthorityDifference(before: side, after: part).changes.filter {
                    if case .condition = $0.what { $0.direction == .gained } else { false }
                }
                #expect(conditions.map(\.sentence) == [], "seed \(world.random.seed): against \(name)")
            }
        }
        #expect(kept > 50)
    }
}

/// Bundles with few operations and small schemas, and the calls that could be made with them.
private struct SmallWorld {
    var random: SeededGenerator
    private var schemas: SchemaGenerator

    private static let tools = ["crm", "pay"]
    private static let operations = ["find", "send"]
    private static let servers: [JSONValue] = [["mcp": ["command": ["a"]]], ["mcp": ["url": "https://b.example"]]]
    private static let credentials: [String?] = [nil, "vault:a", "vault:b"]
    private static let days = ["2026-01-01", "2027-01-01", "2028-01-01"].compactMap { CalendarDate($0) }
    private static let agents = [agent("support/a"), agent("support/b")]
    private static let steps: [Int64] = [1, 5, 9]
    private static let dollars = [0.1, 1, 10]

    init(_ random: SeededGenerator) {
        self.random = random
        schemas = SchemaGenerator(random)
    }

    // MARK: Bundles

    mutating func bundle() -> Bundle {
        var tools: [BundleTool] = []
        for name in Self.tools where !random.once(in: 4) { tools.append(tool(name)) }
        return EnsignTestSupport.bundle { bundle in
            bundle.tools = tools
            bundle.delegates = Self.agents.filter { _ in random.once(in: 2) }
            bundle.limits.run = RunLimits(
                steps: random.once(in: 4) ? nil : random.pick(Self.steps),
                tokens: nil,
                costUSD: random.once(in: 4) ? nil : random.pick(Self.dollars),
                seconds: nil
            )
        }
    }

    private mutating func tool(_ name: String) -> BundleTool {
        guard let version = SemanticVersion("1.0.0") else { preconditionFailure("constant") }
        var operations: [String: BundleOperation] = [:]
        for operation in Self.operations where operations.isEmpty || !random.once(in: 3) {
            operations[operation] = self.operation()
        }
        var tool = BundleTool(
            tool: name,
            version: version,
            description: nil,
            server: random.pick(Self.servers),
            credentials: random.pick(Self.credentials),
            operations: operations
        )
        if operations.values.contains(where: { $0.approvers != nil }) { tool.owner = "crm-people" }
        return tool
    }

    private static let rates = ["1/s", "2/s", "3/m", "100/m", "120/m"].compactMap { CallRate($0) }
    private static let pointers = ["/ticket", "/amount"].compactMap { JSONPointer($0) }
    private static let pins = ["a", "b"].compactMap { Digest(hex: String(repeating: $0, count: 64)) }
    private static let people: [Approver] = [.team("support"), .team("crm-people"), .principal("ada@example.com")]
    private static let spans = ["1m", "10m"].compactMap { TimeSpan($0) }

    private mutating func precondition() -> Precondition {
        Precondition(
            tool: "crm",
            operation: random.pick(["verify", "look"]),
            within: random.pick(Self.spans),
            same: random.pick([nil, "customer", "ticket"])
        )
    }

    /// Changes one of the conditions, or leaves it out.
    private mutating func condition(_ operation: inout BundleOperation, _ which: Int) {
        switch which {
        case 0:
            let list = Self.people.filter { _ in random.once(in: 2) }.sorted()
            operation.approvers = random.once(in: 3) ? nil : list
        case 1: operation.rate = random.once(in: 3) ? nil : random.pick(Self.rates)
        case 2: operation.after = (0..<random.int(0...2)).map { _ in precondition() }
        case 3: operation.record = Self.pointers.filter { _ in random.once(in: 2) }
        default: operation.pin = random.once(in: 3) ? nil : random.pick(Self.pins)
        }
    }

    private mutating func operation() -> BundleOperation {
        var operation = plainOperation()
        for which in 0...4 where random.once(in: 3) { condition(&operation, which) }
        return operation
    }

    private mutating func plainOperation() -> BundleOperation {
        BundleOperation(
            description: nil,
            access: random.pick(Access.allCases),
            risk: random.pick(Risk.allCases),
            approval: random.pick([.none, .manager, .dual]),
            idempotent: true,
            timeout: nil,
            expires: random.once(in: 2) ? nil : random.pick(Self.days),
            input: input(),
            output: nil
        )
    }

    /// A schema that the validator knows.
    private mutating func input() -> JSONValue? {
        guard !random.once(in: 5) else { return nil }
        while true {
            let schema = schemas.root()
            if lintSchema(schema).allSatisfy({ $0.severity == .warning }) { return schema }
        }
    }

    /// A bundle with one to three things changed: mostly a little.
    mutating func changed(_ before: Bundle) -> Bundle {
        var bundle = before
        for _ in 0..<random.pick([1, 1, 1, 2, 3]) { change(&bundle) }
        return bundle
    }

    private mutating func change(_ bundle: inout Bundle) {
        switch random.int(0...13) {
        case 0: bundle.instructions = (bundle.instructions ?? "") + "More.\n"
        case 1: bundle.labels["a"] = "b"
        case 2: bundle.delegates = Self.agents.filter { _ in random.once(in: 2) }
        case 3: bundle.limits.run.steps = random.once(in: 4) ? nil : random.pick(Self.steps)
        case 4: bundle.limits.run.costUSD = random.once(in: 4) ? nil : random.pick(Self.dollars)
        case 12: bundle.limits.runs = random.once(in: 4) ? nil : random.pick(Self.steps)
        case 13: bundle.mode = random.pick([.enforce, .observe])
        case 5 where !bundle.tools.isEmpty: bundle.tools.remove(at: random.int(0...bundle.tools.count - 1))
        default:
            guard let index = bundle.tools.indices.randomElement(using: &random),
                let name = Self.operations.randomElement(using: &random)
            else { return }
            guard var operation = bundle.tools[index].operations[name] else {
                if random.once(in: 4) { bundle.tools[index].operations[name] = operation() }
                return
            }
            switch random.int(0...14) {
            case 10...14: condition(&operation, random.int(0...4))
            case 0: bundle.tools[index].server = random.pick(Self.servers)
            case 1: bundle.tools[index].credentials = random.pick(Self.credentials)
            case 2: operation.access = random.pick(Access.allCases)
            case 3: operation.approval = random.pick([.none, .manager, .dual])
            case 4: operation.expires = random.once(in: 3) ? nil : random.pick(Self.days)
            case 5: operation.risk = random.pick(Risk.allCases)
            case 6:
                bundle.tools[index].operations[name] = nil
                return
            default:
                let next = operation.input.map { schemas.changed($0) } ?? input()
                if next.map({ lintSchema($0).allSatisfy { $0.severity == .warning } }) ?? true {
                    operation.input = next
                }
            }
            bundle.tools[index].operations[name] = operation
            if operation.approvers != nil { bundle.tools[index].owner = "crm-people" }
        }
    }

    // MARK: Brute force

    /// What was before a call, and is around it.
    struct Circumstances {
        /// Who agrees, where somebody must.
        var approver: Approver
        /// How many calls this would be within a second, and within a minute.
        var inSecond: Int64
        var inMinute: Int64
        /// What succeeded before, so many seconds ago, with these arguments alike.
        var earlier: [(operation: String, seconds: Int64, same: Set<String>)]
        /// What nobody may find in the record.
        var hidden: Set<JSONPointer>
        /// The definition that the server offers.
        var offered: Digest?
    }

    private mutating func circumstances() -> Circumstances {
        let burst = Int64(random.pick([1, 2, 3, 4]))
        return Circumstances(
            approver: random.pick(Self.people),
            inSecond: burst,
            inMinute: max(burst, Int64(random.pick([1, 3, 4, 100, 101, 120, 121]))),
            earlier: (0..<random.int(0...2)).map { _ in
                (
                    random.pick(["verify", "look"]), random.pick([30, 300, 900]),
                    Set(["customer", "ticket"].filter { _ in random.once(in: 2) })
                )
            },
            hidden: Set(Self.pointers.filter { _ in random.once(in: 3) }),
            offered: random.pick([nil] + Self.pins)
        )
    }

    /// Something that an agent might do.
    struct Call: CustomStringConvertible {
        var tool: String
        var operation: String
        var server: JSONValue
        var credentials: String?
        var access: Access
        var risk: Risk
        var approval: Approval
        var day: CalendarDate
        var arguments: JSONValue
        var circumstances: Circumstances

        var description: String {
            "\(tool).\(operation) \(arguments.text) on \(day), \(approval) given, \(access)/\(risk), \(server.text) \(credentials ?? "-"), \(circumstances)"
        }
    }

    /// A call, a delegation or a use that the bundle after allows and the bundle before does not.
    mutating func newlyAllowed(_ before: Bundle, _ after: Bundle) throws -> String? {
        for agent in Self.agents where after.delegates.contains(agent) && !before.delegates.contains(agent) {
            return "handing work to \(agent)"
        }
        for count in Self.steps where within(count, after.limits.run.steps) && !within(count, before.limits.run.steps) {
            return "\(count) steps"
        }
        for sum in Self.dollars where within(sum, after.limits.run.costUSD) && !within(sum, before.limits.run.costUSD) {
            return "\(sum) USD"
        }
        for count in Self.steps where within(count, after.limits.runs) && !within(count, before.limits.runs) {
            return "\(count) runs at a time"
        }
        if after.mode == .observe, before.mode == .enforce { return "what is refused" }
        let values = (0..<12).map { _ in (schemas.value(depth: 3), circumstances()) }
        for tool in after.tools {
            for (name, operation) in tool.operations.sorted(by: { $0.key < $1.key }) {
                let was = before.tools.first { $0.tool == tool.tool }
                let (now, then) = try (validator(operation.input), validator(was?.operations[name]?.input))
                for (arguments, circumstances) in values where now(arguments) {
                    let fits = was?.operations[name] != nil && then(arguments)
                    for approval in [Approval.none, .manager, .dual] {
                        for day in Self.days {
                            let call = Call(
                                tool: tool.tool,
                                operation: name,
                                server: tool.server ?? .null,
                                credentials: tool.credentials,
                                access: operation.access,
                                risk: operation.risk,
                                approval: approval,
                                day: day,
                                arguments: arguments,
                                circumstances: circumstances
                            )
                            if allows(after, call, fits: true), !allows(before, call, fits: fits) { return "\(call)" }
                        }
                    }
                }
            }
        }
        return nil
    }

    private func within<Amount: Comparable>(_ amount: Amount, _ limit: Amount?) -> Bool {
        limit.map { amount <= $0 } ?? true
    }

    private func validator(_ schema: JSONValue?) throws -> (JSONValue) -> Bool {
        // Nobody has said what it takes.
        guard let schema else { return { $0 == [:] } }
        let compiled = try JSONSchema(schema)
        return { compiled.validate($0, limit: 1).isEmpty }
    }

    /// Deny by default, then each condition in turn.
    private func allows(_ bundle: Bundle, _ call: Call, fits: Bool) -> Bool {
        guard let tool = bundle.tools.first(where: { $0.tool == call.tool }), (tool.server ?? .null) == call.server,
            tool.credentials == call.credentials, let operation = tool.operations[call.operation]
        else { return false }
        return fits && call.approval >= operation.approval && operation.expires.map { call.day <= $0 } ?? true
            && call.access <= operation.access && call.risk <= operation.risk
            && allows(operation, call.circumstances)
    }

    private func allows(_ operation: BundleOperation, _ around: Circumstances) -> Bool {
        let usual: [Approver] = [.team("support"), .team("crm-people")]
        if operation.approval != .none, !(operation.approvers ?? usual).contains(around.approver) { return false }
        if let rate = operation.rate {
            if rate.period == .second ? around.inSecond > rate.count : around.inMinute > rate.count { return false }
            // So many in a minute are spread evenly, as far as the burst allows.
            if rate.period == .second, around.inMinute > rate.count * 60 { return false }
        }
        let isPrepared = operation.after.allSatisfy { condition in
            around.earlier.contains { earlier in
                earlier.operation == condition.operation && earlier.seconds <= condition.within.seconds
                    && condition.same.map(earlier.same.contains) ?? true
            }
        }
        return isPrepared && around.hidden.isDisjoint(with: operation.record)
            && (operation.pin == nil || operation.pin == around.offered)
    }
}
