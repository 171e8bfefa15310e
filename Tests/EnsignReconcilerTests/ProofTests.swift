import EnsignCrypto
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPolicy
import EnsignReconciler
import EnsignTargets
import EnsignTestSupport
import Testing

/// What is live carries proof, and the proof goes forward.
@Suite("Proofs in a fleet")
struct ProofTests {
    private static let triage = "agents/support/triage.json"

    private func fleet() throws -> TestFleet {
        let fleet = try TestFleet(rollout: "{immediate: {}}")
        try fleet.reconcile()
        return fleet
    }

    private func bytes(_ fleet: TestFleet, _ path: String = triage) throws -> [UInt8] {
        guard case .file(let bytes) = fleet.target.nodes[path] else {
            Issue.record("\(path) is not a file")
            return []
        }
        return bytes
    }

    private func sequence(_ fleet: TestFleet) throws -> Int64 { try #require(try fleet.tip()).entry.sequence }

    private func drift(_ fleet: TestFleet) throws -> [String] {
        try fleet.reconciler { $0.observeEverything = true }.run().drift.map { "\($0.path) \($0.found)" }
    }

    private func expectIntact(_ fleet: TestFleet) throws {
        let verdict = try Verifier(fleet.site().ledger(TestFleet.environment)).run().verdict
        #expect(verdict == .intact, "\(verdict.reason ?? "")")
    }

    @Test("A change signs the routes of its own agents with the number of its intent, and no other")
    func costFollowsChange() throws {
        let fleet = try fleet()
        #expect(try fleet.entry(of: "support/triage") == 1)
        let before = fleet.target.nodes
        fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
        try fleet.commit("to 1.1.0")
        try fleet.reconcile()
        #expect(try fleet.entry(of: "support/triage") == sequence(fleet) - 1)
        for agent in ["desk", "clerk"] {
            let path = "agents/support/\(agent).json"
            #expect(fleet.target.nodes[path] == before[path], "\(agent)")
        }
        #expect(try fleet.unproven() == [])
        try expectIntact(fleet)
    }

    @Test("A route without its proof, with another one, or an older one that was signed, is drift and put back")
    func drift() throws {
        let fleet = try fleet()
        let older = try bytes(fleet)
        for version in ["1.1.0", "1.0.0"] {
            fleet.deploy("support/triage", version, ["find", "update"], 100)
            try fleet.commit("to \(version)")
            try fleet.reconcile()
        }
        let good = try bytes(fleet)
        #expect(older != good, "the same version again is another entry")
        let bare = JSONValue.object(try LiveProof.withoutProof(good).value).canonicalBytes() + [0x0A]
        let text = String(decoding: good, as: UTF8.self)
        let other = Array(text.replacing("\"entry\":5", with: "\"entry\":6").utf8)
        #expect(other != good)
        for wrong in [older, bare, other] {
            fleet.target.set(Self.triage, .file(wrong))
            #expect(try drift(fleet) == ["\(Self.triage) edited"])
            #expect(try bytes(fleet) == good, "a repair signs nothing anew")
        }
        #expect(try drift(fleet) == [])
        try expectIntact(fleet)
    }

    @Test("A header without proof, of another time or entry than was signed, is drift; its own time is not")
    func header() throws {
        let fleet = try fleet()
        let good = String(decoding: try bytes(fleet, LivePath.header), as: UTF8.self)
        let bare = JSONValue.object(try LiveProof.withoutProof(Array(good.utf8)).value).canonicalBytes() + [0x0A]
        for wrong in [
            String(decoding: bare, as: UTF8.self), good.replacing("\"heard\":\"20", with: "\"heard\":\"21"), "{}\n",
        ] {
            #expect(wrong != good)
            fleet.target.set(LivePath.header, .file(Array(wrong.utf8)))
            #expect(try drift(fleet) == ["fleet.json edited"], "\(wrong)")
            #expect(try fleet.hasHeader())
        }
        try expectIntact(fleet)
    }

    @Test("The time in the header is written by runs that do nothing else, now and then, and alone")
    func heard() throws {
        let fleet = try fleet()
        func heard() throws -> Timestamp? {
            LiveHeader.heard(try LiveProof.withoutProof(bytes(fleet, LivePath.header)).value)
        }
        let (first, tip) = (fleet.target.nodes, try sequence(fleet))
        fleet.advance(10)
        try fleet.reconcile()
        #expect(fleet.target.nodes == first, "it was written a moment ago")
        for seconds in [30, 86_400] as [Int64] {
            fleet.advance(seconds)
            try fleet.reconcile()
            #expect(try heard()?.seconds == fleet.clock.wall())
        }
        fleet.setClock(by: -7_200)
        try fleet.reconcile()
        #expect(try heard()?.seconds == fleet.clock.wall(), "also when the clock was set back")
        #expect(try sequence(fleet) == tip)
        #expect(fleet.live() == TestFleet.bare(first))
        #expect(try fleet.unproven() == [] && drift(fleet) == [])
    }

    @Test("A state without proofs is signed once, as updates that change nothing, whatever the branch says")
    func upgrade() throws {
        for isBroken in [false, true] {
            let fleet = try fleet()
            try fleet.halt(.team("sales"))
            try fleet.reconcile()
            let before = fleet.live()
            try fleet.takeProofsAway()
            if isBroken {
                fleet.environment(rollout: "{immediate: {}}", more: "  no-such-field: 1\n")
                try fleet.commit("invalid")
            }
            #expect(try fleet.unproven().count == 4)
            let report = try fleet.reconcile()
            #expect(report.sealed.count == 3 && report.drift.isEmpty, "\(report.drift)")
            let tip = try #require(try fleet.tip())
            #expect(tip.entry.kind == .outcome && tip.entry.reason.purpose == .sync && tip.entry.changes.count == 3)
            for change in tip.entry.changes {
                #expect(change.action == .update && change.kind == .none && change.from == change.to)
            }
            #expect(try fleet.unproven() == [] && fleet.live() == before)
            // After an outcome, what is refused is on record again.
            if isBroken { try fleet.reconcile() }
            let settled = try fleet.tip()?.commit
            #expect(try fleet.reconcile().sealed.isEmpty && fleet.tip()?.commit == settled)
            try expectIntact(fleet)
        }
    }

    @Test("A halt holds at once without a proof, gets one with its entry, and what was signed before is drift then")
    func halts() throws {
        let fleet = try fleet()
        let open = try bytes(fleet)
        try fleet.halt(.agent(AgentID(team: "support", name: "triage")))
        #expect(try Route.isHalted(bytes(fleet)) && fleet.entry(of: "support/triage") == nil)
        try fleet.reconcile()
        #expect(try fleet.tip()?.entry.kind == .halt)
        #expect(try Route.isHalted(bytes(fleet)) && fleet.entry(of: "support/triage") == sequence(fleet))
        let signed = try bytes(fleet)
        // Stopped again, as a part of its team: the proof stays.
        try fleet.halt(.team("support"))
        #expect(try bytes(fleet) == signed)
        try fleet.reconcile()
        #expect(try fleet.unproven() == [])
        fleet.target.set(Self.triage, .file(open))
        #expect(try drift(fleet) == ["\(Self.triage) edited"])
        #expect(try bytes(fleet) == signed)
        try expectIntact(fleet)
    }

    @Test("An alarm about a halted agent gives its route the proof of its entry, and is not drift")
    func alarm() throws {
        let fleet = try fleet()
        let triage = AgentID(team: "support", name: "triage")
        try fleet.halt(.agent(triage))
        try fleet.reconcile()
        let time = Moment(Timestamp(seconds: fleet.clock.wall()))
        let alarm = HaltRecord(kind: .activity, scope: .agent(triage), reason: "it acts", by: "kill-switch", time: time)
        _ = try HaltSwitch(fleet.site(), TestFleet.environment).pull([alarm])
        try fleet.reconcile()
        #expect(try fleet.tip()?.entry.reason.purpose == .activityAfterHalt)
        #expect(try fleet.entry(of: "support/triage") == sequence(fleet) && drift(fleet) == [])
        try expectIntact(fleet)
    }

    @Test("A key that is prepared is listed for what is live alone, and the next rotation hands over to it")
    func prepared() throws {
        let fleet = try fleet()
        let actor = Entry.Actor(mode: .cli, name: "ada", host: "here", version: TestFleet.version)
        let rotation = KeyRotation(site: try fleet.site(), environment: TestFleet.environment, actor: actor)
        let next = try rotation.prepare()
        #expect(try rotation.prepare() == next && KeyRotation.prepared(fleet.site(), TestFleet.environment) == next)
        #expect(try fleet.reconcile().sealed.isEmpty, "it signs nothing yet")
        try fleet.rotateKey()
        try fleet.reconcile()
        #expect(try #require(try fleet.tip()).signer == next && fleet.unproven() == [])
        #expect(try KeyRotation.prepared(fleet.site(), TestFleet.environment) == nil)
    }

    @Test("Another key signs all routes anew; with the old one nothing that is live is proven any more")
    func rotation() throws {
        let fleet = try fleet()
        let old = try #require(try fleet.tip()).signer
        try fleet.rotateKey()
        fleet.deploy("support/triage", "1.1.0", ["find", "update"], 100)
        try fleet.commit("to 1.1.0")
        let report = try fleet.reconcile()
        #expect(report.sealed.map(\.description) == ["support/clerk", "support/desk"] && report.drift.isEmpty)
        #expect(try fleet.unproven() == [])
        let keys = LiveKeys(environment: TestFleet.environment, keys: [old])
        for path in fleet.target.nodes.keys {
            guard let file = LiveProof.File(path: path) else { continue }
            let result = LiveProof.verify(try bytes(fleet, path), as: file, of: TestFleet.environment, keys: keys)
            #expect(result == .failure(.wrongKey(try #require(try fleet.tip()).signer.fingerprint, isKnown: false)))
        }
        #expect(try fleet.reconcile().sealed.isEmpty && drift(fleet).isEmpty)
        try expectIntact(fleet)
    }

    @Test(
        "A reader that follows a fleet anywhere never meets an older file, nor one that is not proven",
        arguments: 0..<6
    )
    func property(_ run: Int) throws {
        var seeds = SeededGenerator(for: "proofs.property", standard: 20_261_129)
        for _ in 0..<run { _ = seeds.next() }
        let fleet = try TestFleet(SeededGenerator(seed: seeds.next()))
        try fleet.reconcile()
        var seen = SeenEntries()
        for _ in 0..<25 {
            try fleet.step()
            if seeds.once(in: 12) { try fleet.rotateKey() }
            if seeds.once(in: 12) { try fleet.takeProofsAway() }
            if seeds.once(in: 5) { try fleet.halt(.agent(AgentID(team: "support", name: "triage"))) }
            try fleet.reconcile(fleet.request())
            let story = fleet.story.suffix(12).joined(separator: "\n")
            #expect(try fleet.unproven() == [], "\(story)")
            let keys = LiveKeys(environment: TestFleet.environment, keys: try #require(try fleet.tip()).successors)
            for case (let path, .file(let bytes)) in fleet.target.nodes {
                guard let file = LiveProof.File(path: path) else { continue }
                let proven = try LiveProof.verify(bytes, as: file, of: TestFleet.environment, keys: keys).get()
                #expect(
                    seen.admit(proven, as: file, of: TestFleet.environment, keys: keys) == .current,
                    "\(path) \(story)"
                )
            }
        }
        try expectIntact(fleet)
    }
}
