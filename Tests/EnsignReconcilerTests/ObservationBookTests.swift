import EnsignLedger
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Testing

@testable import EnsignReconciler

/// What would have been refused is counted once, and takes a bounded room.
@Suite("What the gateway would have refused")
struct ObservationBookTests {
    private static let start = Timestamp(seconds: 1_795_251_600)

    private func digest(_ number: Int) -> Digest {
        guard let digest = Digest(hex: String(repeating: "0", count: 60) + String(1_000 + number)) else {
            preconditionFailure("not a digest")
        }
        return digest
    }

    private func ruling(
        _ operation: String,
        _ reason: String?,
        agent: String = "a",
        bundle: Int = 0,
        day: Int64 = 0
    ) -> GatewayRuling {
        GatewayRuling(
            agent: AgentID(team: "support", name: agent),
            bundle: digest(bundle),
            operation: operation,
            wouldRefuse: reason,
            time: Moment(Timestamp(seconds: Self.start.seconds + day * 86_400))
        )
    }

    private let agent = AgentID(team: "support", name: "a")

    @Test("Calls are counted by operation and reason; the newest bundles are kept, and said to be earlier ones")
    func counts() throws {
        var book = ObservationBook()
        book.take(ruling("crm.find", nil))
        for _ in 0..<3 { book.take(ruling("crm.update", "arguments", day: 1)) }
        book.take(ruling("crm.update", "budget", day: 2))
        let evidence = try #require(book.evidence(of: agent, with: [digest(0)]))
        #expect(!evidence.isOfEarlier && evidence.calls.calls == 5 && evidence.calls.wouldRefuse == 4)
        #expect(
            evidence.sentence
                == "4 calls of 1 operation would have been refused since \(Self.start), of 5: 3 crm.update (arguments), 1 crm.update (budget)"
        )
        #expect(book.evidence(of: agent, with: [digest(9)])?.isOfEarlier == true)
        #expect(book.evidence(of: AgentID(team: "support", name: "b"), with: [digest(0)]) == nil)
        for bundle in 1...10 { book.take(ruling("crm.find", nil, bundle: bundle, day: Int64(bundle))) }
        #expect(book.agents[agent]?.count == ObservationBook.mostBundles)
        #expect(book.agents[agent]?[digest(0)] == nil && book.agents[agent]?[digest(10)] != nil)
    }

    @Test("Names that somebody makes up take a bounded room, and are counted all the same")
    func bounds() throws {
        var book = ObservationBook()
        for number in 0..<500 { book.take(ruling("x\(number)" + Hostile.letter, "not-granted")) }
        let calls = try #require(book.evidence(of: agent, with: [digest(0)])?.calls)
        #expect(calls.refusals.count == ObservedCalls.mostRows && calls.wouldRefuse == 500)
        #expect(calls.sentence.utf8.count < 1_000)
        #expect(calls.refusals.keys.allSatisfy { $0.operation.utf8.count <= 200 })
    }

    @Test("What is too long ago is forgotten, agent by agent")
    func forgetting() {
        var book = ObservationBook()
        book.take(ruling("crm.find", "expired", day: 0))
        book.take(ruling("crm.find", "expired", agent: "b", day: 40))
        book.forget(before: Timestamp(seconds: Self.start.seconds + 86_400))
        #expect(book.agents.keys.map(\.name) == ["b"])
    }

    @Test("It is kept as it is; a damaged file is none, and whatever it says has its sentences")
    func kept() throws {
        let scratch = try ScratchDirectory()
        var book = ObservationBook()
        for number in 0..<5 {
            book.take(ruling("crm.o\(number % 3)", number == 0 ? nil : "arguments", bundle: number % 2))
        }
        book.take(ruling("crm.find", "loop", agent: "b"))
        #expect(ObservationBook(json: book.json) == book)
        let path = "\(scratch.path)/observed"
        let file = StateFile<ObservationBook>(path: path)
        try file.write(book)
        #expect(file.known() == book)
        try Hostile.variants(of: book.json, for: "observed", pairs: 200) { json in
            guard let read = ObservationBook(json: json) else { return }
            for agent in read.agents.keys {
                _ = read.evidence(of: agent, with: [])?.sentence
                _ = read.evidence(of: agent, with: [digest(0)])?.json
            }
            var more = read
            more.take(ruling("crm.find", "arguments"))
            more.forget(before: Self.start)
            try file.write(read)
            #expect(file.known() == read)
        }
    }
}
