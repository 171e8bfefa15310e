import EnsignMCP
import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Synchronization
import Testing

@testable import EnsignGateway

@Suite("What the gateway pins where git pins nothing")
struct PinningTests {
    private let fixture: GateFixture

    init() throws {
        fixture = try GateFixture()
    }

    private func change(_ index: Int) {
        fixture.server.contents.withLock { contents in
            contents.listing.tools[index].input = ["type": "object", "properties": ["all": [:]]]
        }
    }

    @Test("All that is granted of a tool is pinned when its server's list is first read, called or not")
    func firstList() throws {
        try fixture.publish(open())
        #expect(fixture.call("crm__find").reason == nil)
        #expect(fixture.pins.operations == ["find", "list", "update"], "what is not granted is not pinned")
        change(1)
        #expect(fixture.call("crm__update").reason == "pinned" && fixture.call("crm__find").reason == nil)
    }

    @Test("A pin that cannot be read stops its operation, and no other")
    func damaged() throws {
        try fixture.publish(open())
        fixture.pins.damaged.withLock { _ = $0.insert("update") }
        for _ in 0..<2 {
            #expect(fixture.call("crm__find").reason == nil && fixture.call("crm__update").reason == "unavailable")
        }
        #expect(fixture.pins.operations == ["find", "list"])
    }

    @Test("A list that was read to show tools counts as well")
    func shown() throws {
        try fixture.publish(open { $0.tools[0].operations["find"]?.output = ["type": "object"] })
        _ = try fixture.gate.offer(to: fixture.session).get()
        #expect(fixture.pins.operations == ["find", "list", "update"])
        change(0)
        #expect(fixture.call("crm__find").reason == "pinned")
    }

    @Test("What git pins, and what is listed twice or not at all, is not pinned; what is granted later is, when it is")
    func others() throws {
        let pin = fixture.server.contents.withLock { contents in
            contents.listing.tools.append(ServerListing.Tool(name: "update", input: ["type": "array"]))
            contents.listing.tools.removeAll { $0.name == "list" }
            return ToolPin.digest(name: "find", input: contents.listing.tools[0].input, output: nil)
        }
        try fixture.publish(open { $0.tools[0].operations["find"]?.pin = pin })
        #expect(fixture.call("crm__find").reason == nil && fixture.pins.operations == [])
        try fixture.publish(
            open("1.0.1") { $0.tools[0].operations["secret"] = operation(.read, .low) }
        )
        #expect(fixture.call("crm__find", run: "r2").reason == nil)
        #expect(fixture.pins.operations == ["find", "secret"])
    }
}
