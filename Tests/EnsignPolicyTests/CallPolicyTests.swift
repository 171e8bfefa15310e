import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Testing

@Suite("The decision about one call")
struct CallPolicyTests {
    private let today = CalendarDate("2026-11-28")

    private func decide(
        _ operation: String,
        _ arguments: JSONValue? = nil,
        _ change: (inout Bundle) -> Void = { _ in }
    ) throws -> CallPolicy.Verdict {
        let call = CallPolicy.Call(tool: "crm", operation: operation, arguments: arguments)
        return try CallPolicy.decide(call, by: .live(bundle("support/triage", "1.0.0", change)), today: #require(today))
    }

    @Test("What the bundle grants is allowed, or waits for the approval that it names")
    func granted() throws {
        #expect(try decide("find") == .allowed)
        #expect(try decide("update") == .needsApproval(.manager))
        #expect(try decide("update") { $0.tools[0].operations["update"]?.approval = .dual } == .needsApproval(.dual))
    }

    @Test("What is not granted is refused like what does not exist")
    func notGranted() throws {
        #expect(try decide("delete") == .refused(.notGranted))
        let call = CallPolicy.Call(tool: "payments", operation: "refund", arguments: nil)
        #expect(try CallPolicy.decide(call, by: .live(bundle()), today: #require(today)) == .refused(.notGranted))
    }

    @Test("A grant holds until the end of its last day")
    func expiry() throws {
        let day = try #require(CalendarDate("2026-11-28"))
        let before = try #require(CalendarDate("2026-11-27"))
        #expect(try decide("find") { $0.tools[0].operations["find"]?.expires = day } == .allowed)
        let late = try decide("find") { $0.tools[0].operations["find"]?.expires = before }
        #expect(late == .refused(.expired(before)))
    }

    @Test("Arguments are held against the schema, and the keyword that refuses them is named")
    func arguments() throws {
        let input: JSONValue = ["type": "object", "properties": ["amount": ["type": "number", "maximum": 100]]]
        func verdict(_ amount: JSONValue) throws -> CallPolicy.Verdict {
            try decide("find", ["amount": amount]) { $0.tools[0].operations["find"]?.input = input }
        }
        #expect(try verdict(100) == .allowed)
        guard case .refused(.arguments(let pointer, let message)) = try verdict(140) else {
            Issue.record("140 is above the maximum")
            return
        }
        #expect(pointer == ["properties", "amount", "maximum"] && message.contains("140"))
        guard case .refused(.arguments) = try verdict("4000") else {
            Issue.record("a text is not a number")
            return
        }
    }

    @Test("A halted agent may call nothing")
    func halted() throws {
        let call = CallPolicy.Call(tool: "crm", operation: "find", arguments: nil)
        #expect(try CallPolicy.decide(call, by: .halted, today: #require(today)) == .refused(.halted))
        #expect(
            try CallPolicy.decide(call, run: bundle(), present: .halted, today: #require(today)) == .refused(.halted)
        )
    }

    @Test("Of two refusals the present one is given")
    func present() throws {
        let before = try #require(CalendarDate("2026-11-27"))
        let run = bundle { $0.tools[0].operations["find"]?.expires = before }
        let call = CallPolicy.Call(tool: "crm", operation: "find", arguments: nil)
        #expect(try CallPolicy.decide(call, run: run, present: .halted, today: #require(today)) == .refused(.halted))
    }

    @Test("In an open run the stricter of its own bundle and the present one counts, whichever it is")
    func openRun() throws {
        let call = CallPolicy.Call(tool: "crm", operation: "find", arguments: nil)
        let (free, manager) = (bundle(), bundle { $0.tools[0].operations["find"]?.approval = .manager })
        let dual = bundle { $0.tools[0].operations["find"]?.approval = .dual }
        let none = bundle { $0.tools[0].operations["find"] = nil }
        let order: [(Bundle, CallPolicy.Verdict)] = [
            (free, .allowed), (manager, .needsApproval(.manager)), (dual, .needsApproval(.dual)),
            (none, .refused(.notGranted)),
        ]
        for (index, run) in order.enumerated() {
            for (other, present) in order.enumerated() {
                let verdict = try CallPolicy.decide(call, run: run.0, present: .live(present.0), today: #require(today))
                #expect(verdict == order[max(index, other)].1)
            }
        }
    }
}
