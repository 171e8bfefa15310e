import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

/// Bundles that allow ever less, or ever more, of `update`.
private let changes: [(String, @Sendable (inout Bundle) -> Void)] = [
    ("narrowed", { $0.tools[0].operations["update"]?.input = amount(atMost: 10) }),
    ("withdrawn", { $0.tools[0].operations["update"] = nil }),
    ("with people", { $0.tools[0].operations["update"]?.approval = .manager }),
    ("expired", { $0.tools[0].operations["update"]?.expires = CalendarDate("2001-01-01") }),
    ("widened", { $0.tools[0].operations["update"]?.input = amount(atMost: 1_000) }),
    ("observed", { $0.mode = .observe }),
]

private func amount(atMost most: Int64) -> JSONValue {
    [
        "type": "object", "properties": ["amount": ["type": "number", "maximum": .integer(most)]],
        "additionalProperties": false,
    ]
}

/// What a gate recorded follows from the bundles that its lines name, whatever was published meanwhile.
@Suite("Replay")
struct ReplayTests {
    private static let secret = LogSecret([UInt8](repeating: 1, count: 32))

    /// Decides the lines of a fixture's log again.
    private func replay(_ fixture: GateFixture, _ arguments: [JSONValue] = []) throws -> Replay {
        var text: [UInt8] = []
        for (index, decision) in fixture.log.lines.withLock({ $0 }).enumerated() {
            let place = NewLine.Place(
                sequence: Int64(index + 1),
                previous: nil,
                time: Timestamp(seconds: fixture.time.now / 1_000_000_000).description,
                environment: "prod",
                writer: "w"
            )
            let hidden = NewLine.Hidden(decision, Self.secret)
            text += NewLine(decision, hidden, at: place, secret: Self.secret).bytes + [0x0A]
        }
        try fixture.scratch.write("log.jsonl", bytes: text)
        var replay = Replay(live: fixture.live, arguments: arguments, secret: Self.secret)
        try replay.take("\(fixture.scratch.path)/log.jsonl")
        return replay
    }

    @Test("A log over any two changes of what is live, in open runs and new ones, has no difference")
    func twoChanges() throws {
        let values: [JSONValue] = [["amount": 5], ["amount": 50], ["amount": 500]]
        for (first, change) in changes {
            for (second, another) in changes {
                let fixture = try GateFixture()
                try fixture.publishPolicy()
                func callAll(_ runs: [String]) {
                    for run in runs { for value in values { _ = fixture.call("crm__update", value, run: run) } }
                }
                try fixture.publish(open())
                callAll(["a"])
                try fixture.publish(open("1.0.1", change))
                callAll(["a", "b"])
                try fixture.publish(open("1.0.2", another))
                callAll(["a", "b", "c"])
                for arguments in [[], values] {
                    let replay = try replay(fixture, arguments)
                    let lines = fixture.log.lines.withLock { $0.map { "\($0.reason?.rawValue ?? "-")" } }
                    #expect(replay.different == 0, "\(first), then \(second): \(replay.differences) of \(lines)")
                    #expect(arguments.isEmpty || replay.same > 0)
                }
            }
        }
    }

    @Test("What came while a call waited is what its line names", arguments: 0..<6)
    func whileWaiting(index: Int) throws {
        let fixture = try GateFixture()
        try fixture.publishPolicy()
        try fixture.publish(open())
        fixture.server.contents.withLock { contents in
            contents.whenListing = { [unowned fixture] in try? fixture.publish(open("1.0.1", changes[index].1)) }
        }
        _ = fixture.call("crm__update", ["amount": 50])
        let replay = try replay(fixture, [["amount": 50]])
        #expect(replay.different == 0, "\(replay.differences)")
        let line = try #require(fixture.log.lines.withLock { $0.first })
        #expect(line.present != nil && line.entry != 2, "what was live when it was sent, or refused")
    }

    @Test("A line that names no present bundle was decided by the run's alone")
    func present() throws {
        let fixture = try GateFixture()
        let first = try fixture.publish([(open(), 100)])[0]
        _ = fixture.call("crm__update")
        let second = try fixture.publish([(open("1.0.1", changes[0].1), 100)])[0]
        _ = fixture.call("crm__update")
        let lines = fixture.log.lines.withLock { $0.filter { $0.kind == .intent } }
        #expect(lines.map(\.bundle) == [first, first] && lines.map(\.present) == [nil, second])
    }
}
