import EnsignGateway
import EnsignMCP
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Synchronization
import Testing

@Suite("What is offered")
struct OfferingTests {
    private func names(_ fixture: GateFixture) -> [String]? {
        guard case .success(let tools) = fixture.gate.offer(to: fixture.session) else { return nil }
        return tools.map(\.name)
    }

    @Test("Tools are listed as they were reviewed, sorted, and without a word of the server")
    func reviewed() throws {
        let fixture = try GateFixture()
        try fixture.publish(open { $0.tools[0].operations["find"]?.description = "Finds." })
        fixture.server.contents.withLock { contents in
            contents.listing.tools[0] = ServerListing.Tool(name: "find", input: ["type": "string"])
        }
        let tools = try fixture.gate.offer(to: fixture.session).get()
        #expect(tools.map(\.name) == ["crm__find", "crm__list", "crm__update"])
        #expect(tools[0].description == "Finds." && tools[0].input["properties"]?["amount"] != nil)
        #expect(tools[1].input == ["type": "object", "properties": [:], "additionalProperties": false])
    }

    @Test("What headers say is known of what is listed alone, by its schema there and in any spelling")
    func mirrored() throws {
        let fixture = try GateFixture()
        try fixture.publish(
            open { bundle in
                bundle.tools[0].operations["find"]?.input = [
                    "type": "object", "properties": ["region": ["type": "string", "x-mcp-header": "Region"]],
                ]
                bundle.tools[0].operations["update"]?.input = ["type": "object", "x-mcp-header": "Region"]
            }
        )
        func headers(_ name: String) -> [String]? {
            let mirrored = fixture.gate.mirrored(by: name, for: fixture.session, traceparent: nil)
            return mirrored?.headers(of: ["region": "eu"]).map(\.name)
        }
        #expect(headers("crm__find") == ["Mcp-Param-Region"] && headers("find") == ["Mcp-Param-Region"])
        #expect(headers("crm__list") == [] && headers("crm__update") == nil && headers("crm__secret") == nil)
        fixture.server.contents.withLock { contents in
            contents.listing.tools[2].input = ["properties": ["x": ["type": "string", "x-mcp-header": "X"]]]
        }
        #expect(headers("crm__list") == [])
    }

    @Test("What is off is not listed, and the list is another one when that changes")
    func off() throws {
        let fixture = try GateFixture()
        let server: JSONValue = ["mcp": ["command": ["crm", "--other"]]]
        func publish(_ version: String, _ change: (inout Bundle) -> Void) throws -> Int {
            try fixture.publish(open(version, change))
            return fixture.gate.offerMark(for: Session(agent: GateFixture.agent, run: RunName(version, .header)))
        }
        func names() throws -> [String] { try fixture.gate.offer(to: fixture.session).get().map(\.name) }
        let mark = try publish("1.0.0") { _ in }
        #expect(try names().count == 3)
        _ = try publish("1.0.1") { $0.tools[0].server = server }
        #expect(try names().isEmpty, "the operator's server is another one")
        _ = try publish("1.0.2") { $0.tools[0].tool = "billing" }
        #expect(try names().isEmpty, "there is no line for it")
        #expect(try publish("1.0.0") { _ in } == mark && names().count == 3)
    }

    @Test("A list is what the run and the present bundle both grant, today")
    func both() throws {
        let fixture = try GateFixture()
        try fixture.publish(open("1.0.0"))
        let mark = fixture.gate.offerMark(for: fixture.session)
        #expect(fixture.call("crm__list").reason == nil)
        try fixture.publish(
            open("1.0.1") { bundle in
                bundle.tools[0].operations["find"] = nil
                bundle.tools[0].operations["secret"] = operation(.read, .low)
            }
        )
        #expect(names(fixture) == ["crm__list", "crm__update"])
        #expect(fixture.gate.offerMark(for: fixture.session) != mark)
        let yesterday = Timestamp(seconds: fixture.time.now / 1_000_000_000 - 86_400).date
        let other = try GateFixture()
        try other.publish(open { $0.tools[0].operations["find"]?.expires = yesterday })
        #expect(names(other) == ["crm__list", "crm__update"])
        // What ends by the present bundle has ended in open runs, too.
        let third = try GateFixture()
        try third.publish(open("1.0.0"))
        #expect(third.call("crm__list").reason == nil)
        try third.publish(open("1.0.1") { $0.tools[0].operations["find"]?.expires = yesterday })
        #expect(names(third) == ["crm__list", "crm__update"])
    }

    @Test(
        "Of a canary a list shows what a call with the same trace may do, whichever of both comes first",
        arguments: [true, false]
    )
    func traces(_ listsFirst: Bool) throws {
        let fixture = try GateFixture()
        let wider = open("1.0.1") { $0.tools[0].operations["secret"] = operation(.read, .low) }
        try fixture.publish([(open(), 50), (wider, 50)])
        let session = Session(agent: GateFixture.agent)
        var shown: Set<Bool> = []
        for number in 1...16 {
            let digits = String(number, radix: 16)
            let parent = "00-" + String(repeating: "a", count: 32 - digits.count) + digits + "-00000000000000aa-01"
            func lists() throws -> Bool {
                try fixture.gate.offer(to: session, traceparent: parent).get().contains { $0.name == "crm__secret" }
            }
            let before = listsFirst ? try lists() : nil
            let isMade = fixture.call("crm__secret", run: nil, traceparent: parent).reason == nil
            #expect(try (before ?? lists()) == isMade)
            shown.insert(isMade)
        }
        #expect(shown == [true, false])
    }

    @Test("Nothing is offered to who is halted, and nobody is told that nothing is granted where nobody can say")
    func halted() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        try fixture.publish([])
        #expect(names(fixture) == [])
        try Files.rename(fixture.live, to: "\(fixture.live).gone")
        #expect(names(fixture) == nil)
    }

    @Test(
        "An output schema is shown only where the server gives structured results; one that is down is listed all the same"
    )
    func output() throws {
        let fixture = try GateFixture()
        let output: JSONValue = ["type": "object", "properties": ["id": ["type": "integer"]]]
        try fixture.publish(
            open { bundle in
                for name in ["find", "list"] { bundle.tools[0].operations[name]?.output = output }
            }
        )
        let asked = Mutex(0)
        fixture.server.contents.withLock { contents in
            contents.listing.tools[0] = ServerListing.Tool(name: "find", input: [:], output: ["type": "object"])
            contents.whenListing = { asked.withLock { $0 += 1 } }
        }
        let shown = try fixture.gate.offer(to: fixture.session).get().map(\.output)
        #expect(shown == [output, nil, nil])
        #expect(asked.withLock { $0 } == 1, "a server is asked once for a list")
        fixture.server.contents.withLock { $0.listingFailure = UpstreamFailure(.unreachable, "down") }
        let down = try fixture.gate.offer(to: fixture.session).get()
        #expect(down.count == 3 && down.allSatisfy { $0.output == nil })
    }

    @Test("Servers are asked what they offer all at once, and none is waited for beyond the time of the list")
    func listings() {
        let desk = UpstreamDesk([:], secrets: SecretShelf([:]), sandbox: nil) { _, _, _ in MemoryServer() }
        func station(_ server: MemoryServer) -> UpstreamDesk.Station {
            UpstreamDesk.Station(upstream: server, breaker: CircuitBreaker(), reference: nil)
        }
        // Each answers once all of them are asked.
        let asked = Condition(0)
        let together = (0..<3).map { _ in MemoryServer() }
        for server in together {
            server.contents.withLock { contents in
                contents.whenListing = {
                    asked.update { $0 += 1 }
                    _ = asked.wait(until: nil) { $0 == together.count ? true : nil }
                }
            }
        }
        let named = Dictionary(uniqueKeysWithValues: together.enumerated().map { ("s\($0)", station($1)) })
        #expect(desk.listings(named, within: .seconds(60)).count == together.count)
        // One never answers while the list is made.
        let isOver = Condition(false)
        let slow = MemoryServer()
        slow.contents.withLock { $0.whenListing = { _ = isOver.wait(until: nil) { $0 ? true : nil } } }
        let found = desk.listings(["slow": station(slow), "quick": station(MemoryServer())], within: .seconds(1))
        #expect(Array(found.keys) == ["quick"])
        isOver.update { $0 = true }
        desk.end()
        #expect(desk.listings(["quick": station(MemoryServer())], within: .seconds(1)).isEmpty)
    }

    @Test("A server that takes long to say what it offers, or answers badly, is not taken for one that is down")
    func slowness() {
        let desk = UpstreamDesk([:], secrets: SecretShelf([:]), sandbox: nil) { _, _, _ in MemoryServer() }
        let kinds: [(UpstreamFailure.Kind, admits: Bool)] = [
            (.timedOut, true), (.unauthorized, true), (.malformed, true), (.answered(status: 429), true),
            (.cancelled, true), (.unreachable, false), (.ended, false),
        ]
        for (kind, admits) in kinds {
            let server = MemoryServer()
            server.contents.withLock { $0.listingFailure = UpstreamFailure(kind, "no") }
            let breaker = CircuitBreaker()
            let station = UpstreamDesk.Station(upstream: server, breaker: breaker, reference: nil)
            for _ in 0..<CircuitBreaker.most { _ = desk.listings(["it": station], within: .seconds(60)) }
            #expect((breaker.admits() != nil) == admits)
        }
        desk.end()
    }

    @Test("What no call says of a server is told by its tool")
    func told() throws {
        let text = "apiVersion: ensign.dev/v1\nkind: Gateway\nspec:\n  live: /l\n  keys: /k\n  state: /s\n"
        let upstreams = "  upstreams: {crm: {command: [/usr/bin/crm]}}\n"
        let file = try #require(GatewayFile.read(Array((text + upstreams).utf8), path: "/gateway.yaml").file)
        let said = Mutex<[String]>([])
        let desk = UpstreamDesk(
            file.upstreams,
            secrets: SecretShelf([:]),
            sandbox: nil,
            say: { text in said.withLock { $0.append(text) } },
            make: { _, _, tell in
                tell(UpstreamFailure(.ended, "it was ended"))
                return MemoryServer()
            }
        )
        _ = desk.station("crm", reference: nil)
        #expect(said.withLock { $0 } == ["crm: it was ended"])
    }
}
