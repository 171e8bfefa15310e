import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignPolicy
import EnsignTestSupport
import Testing

@Suite("An operation without a schema takes no arguments, for whoever compares it")
struct MissingInputTests {
    private func with(_ input: JSONValue?) -> Bundle { bundle { $0.tools[0].operations["find"]?.input = input } }

    private let amount: JSONValue = ["type": "object", "properties": ["amount": ["type": "number"]]]

    @Test("A schema where there was none widens, and is said with what it lets in")
    func comes() {
        for schema: JSONValue in [amount, true, ["type": "object"], ["properties": ["amount": true]]] {
            let difference = BundleDifference(before: with(nil), after: with(schema))
            #expect(difference.kind == .widening, "\(schema.text)")
            #expect(difference.authority.lost == [], "\(schema.text)")
        }
        let said = BundleDifference(before: with(nil), after: with(amount)).authority.gained
        #expect(said.count == 1 && said[0].contains("amount is new"), "\(said)")
    }

    @Test("No schema where there was one narrows, or widens where it newly allows a call without arguments")
    func goes() {
        for schema: JSONValue in [amount, true, ["type": "object"]] {
            #expect(BundleDifference(before: with(schema), after: with(nil)).kind == .narrowing, "\(schema.text)")
        }
        let required: JSONValue = ["type": "object", "required": ["amount"]]
        #expect(BundleDifference(before: with(required), after: with(nil)).kind == .widening)
    }

    @Test("To say that nothing is taken is no change")
    func said() {
        let closed: JSONValue = ["type": "object", "properties": [:], "additionalProperties": false]
        #expect(BundleDifference(before: with(nil), after: with(closed)).isEmpty)
        #expect(BundleDifference(before: with(closed), after: with(nil)).isEmpty)
    }

    @Test("A bundle restricted to one without a schema, or from it, takes no arguments")
    func restricted() throws {
        for (own, limit) in [(nil, amount), (amount, nil), (nil, true), (nil, nil)] as [(JSONValue?, JSONValue?)] {
            let part = try Compiler.restrict(with(own), to: with(limit)).bundle
            #expect(try allows(part, [:]))
            #expect(try !allows(part, ["amount": 5]))
            #expect(AuthorityDifference(before: with(own), after: part).gained == [])
            #expect(AuthorityDifference(before: with(limit), after: part).gained == [])
        }
    }

    private func allows(_ bundle: Bundle, _ arguments: JSONValue) throws -> Bool {
        guard let day = CalendarDate("2026-01-01") else { preconditionFailure("constant") }
        let call = CallPolicy.Call(tool: "crm", operation: "find", arguments: arguments)
        return try CallPolicy.decide(call, by: .live(bundle), today: day) == .allowed
    }

    @Test(
        "What is not said to widen allows no call that was refused, by what decides about calls",
        arguments: 0..<6 as Range<UInt64>
    )
    func property(batch: UInt64) throws {
        var schemas = SchemaGenerator(SeededGenerator(for: "missing input \(batch)", standard: 92_000 + batch))
        func input() -> JSONValue? {
            while !schemas.random.once(in: 3) {
                let schema = schemas.root()
                if lintSchema(schema).allSatisfy({ $0.severity == .warning }) { return schema }
            }
            return nil
        }
        var (kept, seen) = (0, 0)
        for _ in 0..<80 {
            let (was, now) = (input(), input())
            let part = try Compiler.restrict(with(was), to: with(now)).bundle
            let isWider = AuthorityDifference(before: with(was), after: with(now)).gains
            kept += isWider ? 0 : 1
            for arguments in [[:]] + (0..<12).map({ _ in schemas.value(depth: 3) }) where arguments.object != nil {
                seen += 1
                let (then, next) = (try allows(with(was), arguments), try allows(with(now), arguments))
                let seed = "seed \(schemas.random.seed): \(arguments.text), \(was?.text ?? "-"), \(now?.text ?? "-")"
                #expect(isWider || then || !next, "\(seed)")
                #expect(try allows(part, arguments) == (then && next), "restricted, \(seed)")
            }
        }
        #expect(kept > 10 && seen > 100)
    }
}
