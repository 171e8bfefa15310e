import EnsignCrypto
import EnsignManifest
import EnsignModel
import EnsignPolicy
import EnsignTargets
import EnsignTestSupport
import Testing

@testable import EnsignCommands

@Suite("A live directory for a developer")
struct DevelopedLiveTests {
    private let heard = Timestamp(seconds: 1_800_000_000)

    private func compiled(_ bundle: Bundle, halted: Bool = false) -> CompiledBundle {
        Compiler.seal(bundle, halted: halted)
    }

    /// The files of a publication whose proofs hold, with their entries.
    private func proven(_ publication: Publication?, _ live: DevelopedLive) throws -> [String: Int64] {
        let keys = try LiveKeys.read(live.keys).get()
        let publication = try #require(publication)
        let header = publication.header.map { [(path: LivePath.header, bytes: $0)] } ?? []
        var entries: [String: Int64] = [:]
        let files = try (publication.bundles + publication.routes).map { (path: $0.path, bytes: try $0.content.read()) }
        for (path, bytes) in files + header {
            if let digest = LivePath.digest(atBundle: path) {
                #expect(SHA256.hex(of: bytes) == digest.hex)
                continue
            }
            let file = try #require(LiveProof.File(path: path))
            entries[path] = try LiveProof.verify(bytes, as: file, of: "prod", keys: keys).get().entry
        }
        return entries
    }

    @Test("Each publication is signed under a higher number, and writes what differs alone")
    func numbers() throws {
        var live = DevelopedLive(environment: "prod")
        let first = live.publish(DevelopedState(), heard: heard)
        live.placed()
        #expect(try proven(first, live) == ["fleet.json": 1])
        var state = DevelopedState(agents: [.triage: compiled(bundle()), .desk: compiled(bundle("support/desk"))])
        let second = live.publish(state, heard: heard)
        live.placed()
        #expect(
            try proven(second, live)
                == ["fleet.json": 2, "agents/support/triage.json": 2, "agents/support/desk.json": 2]
        )
        #expect(second?.bundles.count == 2)
        #expect(live.publish(state, heard: heard) == nil && live.entry == 2)
        state.agents[.triage] = compiled(bundle { $0.instructions = "Sort well.\n" })
        state.policy = GatewayPolicy(environment: "prod", costUSDPerDay: 3)
        let third = live.publish(state, heard: heard)
        live.placed()
        #expect(try proven(third, live) == ["fleet.json": 3, "agents/support/triage.json": 3, "policy.json": 3])
        state.agents[.desk] = nil
        state.policy = nil
        let fourth = live.publish(state, heard: heard)
        #expect(try proven(fourth, live) == ["fleet.json": 4, "policy.json": 4], "it is empty")
        #expect(fourth?.removals == ["agents/support/desk.json"])
    }

    @Test("What git halts has a halted route, and no bundle is published for it")
    func halted() throws {
        var live = DevelopedLive(environment: "prod")
        let state = DevelopedState(agents: [.triage: compiled(bundle(), halted: true)])
        let published = live.publish(state, heard: heard)
        let publication = try #require(published)
        #expect(publication.bundles.isEmpty)
        #expect(try proven(publication, live) == ["fleet.json": 1, "agents/support/triage.json": 1])
        let text = String(decoding: try publication.routes[0].content.read(), as: UTF8.self)
        #expect(text.contains(#""phase":"halted""#) && text.contains(#""routes":[]"#))
    }

    @Test("After a publication that was not placed whole, all is written anew, also to go back")
    func unplaced() throws {
        var live = DevelopedLive(environment: "prod")
        let good = DevelopedState(agents: [.triage: compiled(bundle())])
        _ = live.publish(good, heard: heard)
        live.placed()
        var next = good
        next.agents[.desk] = compiled(bundle("support/desk"))
        next.policy = GatewayPolicy(environment: "prod", costUSDPerDay: 3)
        _ = live.publish(next, heard: heard)
        let again = live.publish(good, heard: heard)
        #expect(try proven(again, live) == ["fleet.json": 3, "agents/support/triage.json": 3, "policy.json": 3])
        #expect(again?.removals == ["agents/support/desk.json"])
        live.placed()
        #expect(live.publish(good, heard: heard) == nil)
    }

    @Test("A save is told in the words of a plan, with both versions, and says whether something was gained")
    func words() throws {
        let before = DevelopedState(agents: [.triage: compiled(bundle())])
        var after = DevelopedState(
            agents: [.triage: compiled(bundle("support/triage", "1.1.0") { $0.tools[0].operations["find"] = nil })]
        )
        let change = try DevelopedChange(from: before, to: after)
        #expect(change.sentences == ["support/triage 1.0.0 -> 1.1.0: may no longer call crm.find"])
        #expect(try !change.gains && DevelopedChange(from: after, to: before).gains)
        after.agents[.triage]?.halted = true
        #expect(try DevelopedChange(from: before, to: after).sentences == ["support/triage 1.0.0 -> 1.1.0: halted"])
        #expect(
            try DevelopedChange(from: before, to: DevelopedState()).sentences
                == ["support/triage 1.0.0: no longer deployed"]
        )
    }

    @Test("A client's line for a shell quotes what a shell would read")
    func shell() {
        let lines = ClientLines(program: "/usr/bin/ensign-gateway", arguments: ["--live", "/tmp/it's $HOME", ""])
        #expect(lines.shell == #"/usr/bin/ensign-gateway --live '/tmp/it'\''s $HOME' ''"#)
    }
}

@Suite("An agent of a work tree")
struct WorkTreeCompilerTests {
    private let today = CalendarDate("2026-06-01")

    private func compile(
        _ fixture: FleetFixture = FleetFixture(),
        version: AgentVersion? = nil
    ) throws -> WorkTreeCompiler.Result {
        let scratch = try ScratchDirectory()
        for (path, entry) in fixture.entries {
            if case .text(let text) = entry { try scratch.write(path, text) }
        }
        let compiler = WorkTreeCompiler(path: scratch.path, environment: "prod", agent: .triage, version: version)
        return try compiler.compile(before: nil, today: #require(today))
    }

    private func errors(_ result: WorkTreeCompiler.Result) -> [String] {
        result.findings.filter { $0.severity == .error }.map(\.code)
    }

    @Test("It comes with those that it may hand work to, with prices, and with nobody else")
    func delegates() throws {
        let result = try compile()
        #expect(errors(result) == [])
        let state = try #require(result.state)
        #expect(Set(state.agents.keys) == [.triage, .desk] && result.concerned == [.triage, .desk])
        #expect(state.policy?.prices.isEmpty == false)
    }

    @Test("What is wrong elsewhere changes nothing, and what is wrong with it leaves no state")
    func wrong() throws {
        var fixture = FleetFixture()
        fixture["environments/prod/agents/support/other.yaml"] = "no: [manifest\n"
        fixture["fleet/teams/other.yaml"] = "no: [manifest\n"
        #expect(try compile(fixture).state != nil)
        fixture["environments/prod/agents/support/triage.yaml"] = "no: [manifest\n"
        let result = try compile(fixture)
        #expect(result.state == nil && !errors(result).isEmpty)
    }

    @Test("An agent that is not deployed any more is not live, which is not an error")
    func undeployed() throws {
        var fixture = FleetFixture()
        fixture["environments/prod/agents/support/triage.yaml"] = nil
        let result = try compile(fixture)
        #expect(result.findings == [] && result.state?.agents == [:])
    }

    @Test("A version that is named is taken, also one that the environment does not deploy")
    func next() throws {
        var fixture = FleetFixture()
        for (path, entry) in fixture.entries where path.hasPrefix("fleet/agents/support/triage/1.0.0/") {
            fixture.entries[path.replacing("/1.0.0/", with: "/next/")] = entry
        }
        #expect(try compile(fixture).state?.agents[.triage]?.version == version("1.0.0"))
        let result = try compile(fixture, version: .next)
        #expect(errors(result) == [] && result.state?.agents[.triage]?.version == .next)
        #expect(try errors(compile(fixture, version: version("9.0.0"))) == ["unknown-version"])
    }
}
