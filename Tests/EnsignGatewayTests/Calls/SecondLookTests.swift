import EnsignGateway
import EnsignMCP
import EnsignModel
import EnsignPolicy
import EnsignSystem
import EnsignTestSupport
import Glibc
import Synchronization
import Testing

/// What is merged while a server is started or a secret is read decides about the call that waits for it: as if it had been
/// there before, or the call is not made.
@Suite("What comes while a call waits")
struct SecondLookTests {
    /// A change that comes before `crm.update` is sent, and what becomes of the call.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var before: @Sendable (inout BundleOperation, inout Bundle) -> Void = { _, _ in }
        var after: @Sendable (inout BundleOperation, inout Bundle) -> Void
        var reason: String?
        /// Of the same call, when it comes again; nil where nobody asks.
        var again: String?
    }

    private static func bundle(
        _ version: String,
        _ change: (inout BundleOperation, inout Bundle) -> Void
    ) -> Bundle {
        open(version) { bundle in
            guard var update = bundle.tools[0].operations["update"] else { return }
            change(&update, &bundle)
            bundle.tools[0].operations["update"] = update
        }
    }

    private static let findFirst = [TimeSpan("10m")].compactMap { $0 }
        .map { Precondition(tool: "crm", operation: "find", within: $0, same: nil) }

    /// A gate whose agent has called once already; at its next call `after` becomes live while the server is asked what it offers.
    private func fixture(_ test: Case, _ change: (GateFixture) throws -> Void = { _ in }) throws -> GateFixture {
        let fixture = try GateFixture()
        try fixture.publishPolicy()
        try fixture.publish(Self.bundle("1.0.0", test.before))
        try change(fixture)
        #expect(fixture.call("crm__update", ["amount": 1]).reason == nil)
        fixture.desk.contents.withLock { $0.used = [] }
        let isPublished = Flag()
        fixture.server.contents.withLock { contents in
            contents.calls = []
            contents.whenListing = { [unowned fixture] in
                guard !isPublished.isSet else { return }
                isPublished.set()
                try? fixture.publish(Self.bundle("1.0.1", test.after))
                // Longer than a call takes by itself.
                Machine.pause(milliseconds: 1)
            }
        }
        return fixture
    }

    static let refused: [Case] = [
        Case(
            testDescription: "an observed agent is held again, and people must agree",
            before: { update, bundle in (update.approval, bundle.mode) = (.manager, .observe) },
            after: { update, _ in update.approval = .manager },
            reason: "approval-pending"
        ),
        Case(
            testDescription: "an observed agent is held again, and another call must come first",
            before: { update, bundle in (update.after, bundle.mode) = (findFirst, .observe) },
            after: { update, _ in update.after = findFirst },
            reason: "precondition"
        ),
        Case(
            testDescription: "an observed agent is held again, and the operation is not granted",
            before: { update, bundle in (update.expires, bundle.mode) = (CalendarDate("2001-01-01"), .observe) },
            after: { update, _ in update.expires = CalendarDate("2001-01-01") },
            reason: "expired"
        ),
        Case(
            testDescription: "another call must come first",
            after: { update, _ in update.after = findFirst },
            reason: "unavailable",
            again: "precondition"
        ),
        Case(
            testDescription: "people must agree",
            after: { update, _ in update.approval = .manager },
            reason: "approval-pending"
        ),
        Case(
            testDescription: "a rate",
            after: { update, _ in update.rate = CallRate("1/m") },
            reason: "unavailable"
        ),
        Case(
            testDescription: "a lower rate",
            before: { update, _ in update.rate = CallRate("9/m") },
            after: { update, _ in update.rate = CallRate("1/m") },
            reason: "budget"
        ),
        Case(
            testDescription: "fewer steps of a run",
            after: { _, bundle in bundle.limits.run.steps = 1 },
            reason: "budget"
        ),
        Case(
            testDescription: "a pin that does not fit",
            after: { update, _ in update.pin = Digest(hex: String(repeating: "a", count: 64)) },
            reason: "pinned"
        ),
        Case(
            testDescription: "another server",
            after: { _, bundle in bundle.tools[0].server = ["mcp": ["command": ["other"]]] },
            reason: "unavailable",
            again: "unavailable"
        ),
        Case(
            testDescription: "no longer repeatable",
            before: { update, _ in update.idempotent = true },
            after: { update, _ in update.idempotent = false },
            reason: "unavailable"
        ),
    ]

    @Test("A narrowing holds for the call that waits", arguments: refused)
    func narrowed(test: Case) throws {
        let fixture = try fixture(test)
        #expect(fixture.call("crm__update").reason == test.reason)
        #expect(fixture.server.calls.isEmpty)
        let line = try #require(fixture.log.last)
        #expect(line.kind == .refused && line.present != nil, "by what was live then")
        if let again = test.again { #expect(fixture.call("crm__update").reason == again) }
    }

    @Test("Who agreed and may do so no more is not asked any further: people are asked again")
    func approvers() throws {
        let ada = Approver.principal("ada@example.com")
        let bob = Approver.principal("bob@example.com")
        let test = Case(
            testDescription: "other approvers",
            before: { update, _ in (update.approval, update.approvers) = (.manager, [ada]) },
            after: { update, _ in (update.approval, update.approvers) = (.manager, [bob]) }
        )
        let fixture = try fixture(test) { $0.desk.contents.withLock { $0.agreed = ["ada@example.com"] } }
        #expect(fixture.call("crm__update").reason == "approval-denied", "nobody is named by both")
        let taken = try self.fixture(test) { $0.desk.contents.withLock { $0.agreed = ["ada@example.com"] } }
        try taken.publish(
            Self.bundle("1.0.2") { update, _ in (update.approval, update.approvers) = (.manager, [ada, bob]) }
        )
        #expect(taken.call("crm__update", run: "r2").reason == "approval-pending", "ada's word counts no more")
        for fixture in [fixture, taken] {
            #expect(fixture.server.calls.isEmpty && fixture.desk.contents.withLock { $0.used.isEmpty })
        }
    }

    static let sent: [Case] = [
        Case(
            testDescription: "more",
            after: { _, bundle in bundle.tools[0].operations["more"] = operation(.read, .low) }
        ),
        Case(
            testDescription: "observed from now on",
            after: { update, bundle in (update.approval, bundle.mode) = (.none, .observe) }
        ),
        Case(
            testDescription: "a rate that is not used up",
            before: { update, _ in update.rate = CallRate("9/m") },
            after: { update, _ in update.rate = CallRate("2/m") }
        ),
        Case(
            testDescription: "observed, and a condition that nobody has looked up",
            before: { _, bundle in bundle.mode = .observe },
            after: { update, bundle in (update.after, bundle.mode) = (findFirst, .observe) }
        ),
    ]

    @Test("What both allow is sent, is counted once, and its line names what was live then", arguments: sent)
    func allowed(test: Case) throws {
        let fixture = try fixture(test)
        #expect(fixture.call("crm__update").reason == nil)
        #expect(fixture.server.calls == ["update {}"])
        let intents = fixture.log.lines.withLock { $0.filter { $0.kind == .intent } }
        #expect(intents.count == 2 && intents[1].present != nil && intents[1].entry == 3)
    }

    @Test("How it is sent follows from what is live then, too: name, time, what is kept in clear")
    func manner() throws {
        let test = Case(
            testDescription: "another manner",
            after: { update, _ in
                (update.serverTool, update.timeout, update.record) = ("list", TimeSpan("2s"), [JSONPointer("/amount")!])
            }
        )
        let fixture = try fixture(test)
        #expect(fixture.call("crm__update", ["amount": 7]).reason == nil)
        #expect(fixture.server.last?.tool == "list" && fixture.server.last?.timeout == .seconds(2))
        let intent = try #require(fixture.log.lines.withLock { $0.last { $0.kind == .intent } })
        #expect(intent.recorded.map(\.value) == [7])
    }

    @Test("An approval that is needed no more is used up, and is on record")
    func approvedAnyway() throws {
        let fixture = try GateFixture()
        try fixture.publishPolicy()
        try fixture.publish(open("1.0.0"))
        #expect(fixture.call("crm__list").reason == nil)
        // Only the present bundle asks for people, and then none does.
        try fixture.publish(open("1.0.1") { $0.tools[0].operations["update"]?.approval = .manager })
        fixture.desk.contents.withLock { $0.agreed = ["ada@example.com"] }
        fixture.server.contents.withLock { contents in
            contents.whenListing = { [unowned fixture] in try? fixture.publish(open("1.0.2")) }
        }
        #expect(fixture.call("crm__update").reason == nil)
        #expect(fixture.desk.contents.withLock { $0.used } == ["a1"])
        #expect(fixture.log.lines.withLock { $0.last { $0.kind == .intent }?.approval?.id } == "a1")
    }

    @Test("A route that changes at each look lets nothing through")
    func restless() throws {
        let fixture = try GateFixture()
        try fixture.publish(open("1.0.0"))
        let count = Mutex(0)
        fixture.server.contents.withLock { contents in
            contents.whenListing = { [unowned fixture] in
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                try? fixture.publish(open("1.0.\(number)"))
                Machine.pause(milliseconds: 1)
            }
        }
        #expect(fixture.call("crm__find").reason == "unavailable")
        #expect(fixture.server.calls.isEmpty)
    }

    // MARK: Once more

    /// What a server answers to a call that it has not done.
    static let notDone: [(name: String, kind: UpstreamFailure.Kind)] = [
        ("crm__update", .unauthorized), ("crm__find", .unauthorized), ("crm__find", .ended),
        ("crm__find", .unreachable),
    ]

    /// What may come before it is sent once more, and what the call is answered.
    static let changes: [(reason: String, targets: @Sendable () -> [Bundle])] = [
        ("halted", { [] }),
        ("not-granted", { [open("1.0.1") { $0.tools[0].operations = ["list": operation(.read, .low)] }] }),
        ("unavailable", { [open("1.0.1") { $0.description = "Changed." }] }),
    ]

    @Test("A call that is sent once more is held against what is live then", arguments: notDone, 0..<3)
    func onceMore(failure: (name: String, kind: UpstreamFailure.Kind), index: Int) throws {
        let scratch = try ScratchDirectory()
        let resolver = try scratch.write("resolve", "#!/bin/sh\necho a-secret-of-some-length\n")
        #expect(unsafe Glibc.chmod(resolver, 0o755) == 0)
        let fixture = try GateFixture(
            more: "credentials: {vault: {command: [\(resolver)]}}",
            upstream: "{command: [/usr/bin/crm], references: [\"vault:crm\"], env: {TOKEN: \"{credentials}\"}}"
        )
        try fixture.publish(open { $0.tools[0].credentials = "vault:crm" })
        let (reason, targets) = Self.changes[index]
        fixture.server.answer(.notSent(UpstreamFailure(failure.kind, "not now")))
        fixture.server.contents.withLock { contents in
            contents.whenCalled = { [unowned fixture] in
                _ = try? fixture.publish(
                    targets().map { bundle in
                        var bundle = bundle
                        bundle.tools[0].credentials = "vault:crm"
                        return (bundle, 100)
                    }
                )
            }
        }
        #expect(fixture.call(failure.name).reason == reason)
        #expect(fixture.server.calls.count == 1)
        #expect(fixture.log.kinds == [.intent, .outcome, .refused])
        let lines = fixture.log.lines.withLock { $0 }
        #expect(lines[1].intent == 1 && lines[1].entry == 1)
        let wasSent = failure.kind == .unauthorized
        #expect(lines[1].note == (wasSent ? "the server did not take it" : "nothing was sent"))
    }

    @Test("A server that is started once more and offers another definition gets nothing")
    func otherDefinition() throws {
        let fixture = try GateFixture()
        try fixture.publish(open())
        fixture.server.answer(.notSent(UpstreamFailure(.ended, "gone")))
        fixture.server.contents.withLock { contents in
            contents.whenCalled = { [unowned fixture] in
                let other = ServerListing.Tool(name: "find", input: ["type": "array"])
                fixture.server.contents.withLock { $0.listing.tools[0] = other }
            }
        }
        #expect(fixture.call("crm__find").reason == "pinned")
        #expect(fixture.server.calls.count == 1)
    }
}
