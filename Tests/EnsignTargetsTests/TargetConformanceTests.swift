import EnsignModel
import EnsignTargets
import EnsignTestSupport
import Foundation
import Synchronization
import Testing

/// What ``Target`` promises, checked on every target.
@Suite("Every target keeps the same rules")
struct TargetConformanceTests {
    private let old = LiveState("1")
    private let new = LiveState("2")

    private func published(_ kind: TargetKind, _ state: LiveState) throws -> any TargetHarness {
        let harness = try kind.make()
        try harness.target.publish(state.publication, gate: nil)
        return harness
    }

    private func drift(_ harness: any TargetHarness, _ files: [String: [UInt8]]) throws -> [String] {
        try harness.target.observe(Recorded(files: files), .everything, sweeping: false).drift.map {
            "\($0.path) \($0.found)\($0.size.map { " \($0)" } ?? "")"
        }
    }

    // MARK: Publishing

    @Test("What was published is there, byte for byte, and is not drift", arguments: TargetKind.allCases)
    func publishes(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        #expect(try harness.files() == old.files)
        #expect(try drift(harness, old.files) == [])
        for (path, bytes) in old.files { #expect(try harness.target.read(path) == bytes) }
        #expect(try harness.another.agents(of: nil) == LiveState.team)
        #expect(try harness.target.agents(of: "sales") == LiveState.team.filter { $0.team == "sales" })
        #expect(try harness.target.agents(of: "nobody") == [])
    }

    @Test("The same publication again changes nothing", arguments: TargetKind.allCases)
    func idempotent(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        var again = new.publication
        again.clearings = ["strange"]
        again.removals = LiveState.team.map(old.bundle)
        for _ in 0..<3 {
            #expect(try harness.target.publish(again, gate: nil) == [])
            #expect(try harness.files() == new.files)
        }
        try harness.target.publish(Publication(), gate: nil)
        #expect(try harness.files() == new.files)
    }

    @Test(
        "All bundles are in place before the first route, and the header after the last",
        arguments: TargetKind.allCases
    )
    func order(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        var seen: [[String: [UInt8]]] = []
        let gate = TestGate(before: { seen.append(try harness.files()) })
        try harness.target.publish(new.publication, gate: gate)
        let first = try #require(seen.first)
        for bundle in new.publication.bundles { #expect(try first[bundle.path] == bundle.content.read()) }
        for agent in LiveState.team { #expect(first[LivePath.route(agent)] == old.route(agent)) }
        for files in seen { #expect(files[LivePath.header] == old.header) }
        #expect(try harness.target.read(LivePath.header) == new.header)
    }

    @Test("What is taken away goes after the routes are in place", arguments: TargetKind.allCases)
    func removesLast(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        var publication = new.publication
        publication.removals = LiveState.team.map(old.bundle)
        let gate = TestGate(before: { () throws in
            for agent in LiveState.team { #expect(try harness.target.read(old.bundle(agent)) != nil) }
        })
        try harness.target.publish(publication, gate: gate)
        #expect(try harness.files() == new.files)
    }

    @Test("A removal leaves nothing behind, and takes nothing else along", arguments: TargetKind.allCases)
    func removal(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let kept = LiveState("1", agents: Array(LiveState.team.prefix(3)))
        let gone = LiveState.team.dropFirst(3)
        // What is not there is not a problem.
        let removals = gone.flatMap { [LivePath.route($0), old.bundle($0)] } + ["agents/nobody/x.json"]
        try harness.target.publish(Publication(removals: removals), gate: nil)
        #expect(try harness.files() == kept.files)
        #expect(try drift(harness, kept.files) == [])
        #expect(try harness.target.agents(of: nil) == kept.agents)
    }

    @Test("What stands where a file or a folder belongs makes way", arguments: TargetKind.allCases)
    func makesWay(_ kind: TargetKind) throws {
        let harness = try kind.make()
        let route = LivePath.route(LiveState.team[0])
        try harness.spoil("agents", Array("a file where a folder belongs".utf8))
        try harness.spoil("\(LivePath.header)/inside", [1])
        try harness.spoil("strange/thing", [2])
        var publication = old.publication
        publication.clearings = ["strange"]
        try harness.target.publish(publication, gate: nil)
        #expect(try harness.files() == old.files)
        try harness.block(route)
        try harness.target.publish(old.publication, gate: nil)
        #expect(try harness.files() == old.files)
        #expect(try drift(harness, old.files) == [])
    }

    @Test(
        "A reader sees each file old or new, no route before its bundle, no header before its routes",
        arguments: TargetKind.allCases
    )
    func reader(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let isDone = Mutex(false)
        let looks = Mutex(0)
        let group = DispatchGroup()
        let (old, new) = (old, new)
        DispatchQueue.global().async(group: group) {
            while !isDone.withLock({ $0 }) {
                // In the order in which a publication must not be seen backwards.
                guard let header = try? harness.another.read(LivePath.header) else { continue }
                let agent = LiveState.team[
                    looks.withLock {
                        $0 += 1; return $0
                    } % LiveState.team.count
                ]
                let route = try? harness.another.read(LivePath.route(agent))
                let state = route == new.route(agent) ? new : old
                #expect(header == old.header || header == new.header)
                #expect(route == state.route(agent))
                if header == new.header { #expect(route == new.route(agent)) }
                let bundle = try? harness.another.read(state.bundle(agent))
                #expect(bundle == state.files[state.bundle(agent)])
            }
        }
        // Towards the new one only: what is seen must never be older than the header says.
        for _ in 0..<20 { try harness.target.publish(new.publication, gate: nil) }
        isDone.withLock { $0 = true }
        group.wait()
        #expect(try harness.files() == old.files.merging(new.files) { $1 })
    }

    // MARK: Halts

    @Test(
        "A route that the gate holds back stays as it is, is named, and nothing else waits for it",
        arguments: TargetKind.allCases
    )
    func gate(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let held = Set([LiveState.team[3], LiveState.team[17]])
        let gate = TestGate(isHeld: { agent, bytes in held.contains(agent) && bytes == new.route(agent) })
        #expect(try harness.target.publish(new.publication, gate: gate) == held)
        for agent in LiveState.team {
            let state = held.contains(agent) ? old : new
            #expect(try harness.target.read(LivePath.route(agent)) == state.route(agent))
        }
        #expect(try harness.target.read(LivePath.header) == new.header)
        #expect(try harness.leftovers() == [])
        #expect(try harness.target.publish(new.publication, gate: TestGate()) == [])
        #expect(try harness.files() == old.files.merging(new.files) { $1 })
    }

    @Test(
        "A halt that comes while somebody publishes holds, whenever it comes",
        arguments: TargetKind.allCases,
        [0, 1, 7, 16, 19, 20]
    )
    func haltBeatsPublish(_ kind: TargetKind, _ after: Int) throws {
        let harness = try published(kind, old)
        let agents = [LiveState.team[0], LiveState.team[9], LiveState.team[19]]
        let routes = agents.map { ($0, LiveState.halted($0)) }
        let isHalted = Mutex(false)
        var seen = 0
        let gate = TestGate(
            before: { () throws in
                // Nothing can begin to be held back while routes are put in place: it comes before or after.
                guard seen >= after, !isHalted.withLock({ $0 }) else { return }
                isHalted.withLock { $0 = true }
                #expect(try harness.another.halt(routes) == [])
            },
            isHeld: { agent, _ in
                seen += 1
                return isHalted.withLock { $0 } && agents.contains(agent)
            }
        )
        let held = try harness.target.publish(new.publication, gate: gate)
        if !isHalted.withLock({ $0 }) { #expect(try harness.another.halt(routes) == []) }
        for agent in LiveState.team {
            let wanted = agents.contains(agent) ? LiveState.halted(agent) : new.route(agent)
            #expect(try harness.target.read(LivePath.route(agent)) == wanted, "\(agent)")
        }
        #expect(held.isSubset(of: agents))
    }

    @Test("A halt replaces what is there, and gives no route to an agent that has none", arguments: TargetKind.allCases)
    func halts(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let (running, absent, spoilt) = (LiveState.team[0], AgentID(team: "sales", name: "absent"), LiveState.team[1])
        try harness.block(LivePath.route(spoilt))
        let routes = [running, absent, spoilt].map { ($0, LiveState.halted($0)) }
        for _ in 0..<2 {
            #expect(try harness.another.halt(routes) == [])
            #expect(try harness.target.read(LivePath.route(running)) == LiveState.halted(running))
            #expect(try harness.target.read(LivePath.route(spoilt)) == LiveState.halted(spoilt))
            #expect(try harness.target.read(LivePath.route(absent)) == nil)
        }
        #expect(try harness.target.agents(of: nil) == LiveState.team)
        #expect(try harness.leftovers() == [])
    }

    @Test(
        "Two writers at once end in what both wanted: the newest routes, and every halt",
        arguments: TargetKind.allCases
    )
    func twoWriters(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let halted = Mutex<Set<AgentID>>([])
        let lock = NSLock()
        let group = DispatchGroup()
        DispatchQueue.global().async(group: group) {
            for agent in LiveState.team where agent.team == "sales" {
                // As the halts file does it: it is known before it is carried out, and never while routes move.
                lock.withLock { _ = halted.withLock { $0.insert(agent) } }
                #expect(throws: Never.self) { _ = try harness.another.halt([(agent, LiveState.halted(agent))]) }
            }
        }
        let gate = LockedGate(lock: lock) { agent, _ in halted.withLock { $0.contains(agent) } }
        for round in 0..<12 { try harness.target.publish(LiveState("\(round)").publication, gate: gate) }
        group.wait()
        try harness.target.publish(new.publication, gate: gate)
        for agent in LiveState.team {
            let wanted = agent.team == "sales" ? LiveState.halted(agent) : new.route(agent)
            #expect(try harness.target.read(LivePath.route(agent)) == wanted, "\(agent)")
        }
        #expect(try harness.leftovers() == [])
    }

    private struct LockedGate: RouteGate {
        let lock: NSLock
        let isHeld: (AgentID, [UInt8]) -> Bool
        func pass(_ body: (_ isHeld: (AgentID, [UInt8]) -> Bool) throws -> Void) throws {
            try lock.withLock { try body(isHeld) }
        }
    }

    // MARK: Death

    @Test(
        "A killed writer leaves each file old or new, and the next publication completes it",
        arguments: TargetKind.allCases,
        [0, 1, 8, 15, 16, 19, 20]
    )
    func killed(_ kind: TargetKind, _ after: Int) throws {
        let harness = try published(kind, old)
        let writer = StoppedWriter(harness.another, new.publication, after: after)
        defer { writer.letGo() }
        #expect(writer.isStopped == (after < LiveState.team.count))
        let files = try harness.files()
        for agent in LiveState.team {
            let route = try #require(files[LivePath.route(agent)])
            #expect(route == old.route(agent) || route == new.route(agent))
            let state = route == new.route(agent) ? new : old
            #expect(files[state.bundle(agent)] == state.files[state.bundle(agent)])
        }
        #expect(files[LivePath.header] == old.header)
        // What it left is not drift, and is swept away under the lock alone.
        let both = old.files.merging(new.files.filter { $0.key.hasPrefix("bundles/") }) { $1 }
        let expected = Recorded(files: both.merging(files) { $1 })
        #expect(try harness.target.observe(expected, .everything, sweeping: true).drift == [])
        #expect(try harness.leftovers() == [])
        try harness.target.publish(new.publication, gate: nil)
        #expect(try harness.files() == old.files.merging(new.files) { $1 })
    }

    // MARK: Observation

    @Test("Every kind of drift is found, and named with its size", arguments: TargetKind.allCases)
    func everyDrift(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let routes = LiveState.team.filter { $0.team == "sales" }.map(LivePath.route)
        try harness.spoil(routes[0], Array("other".utf8))
        try harness.spoil(routes[1], Array(old.files[routes[1]]!.dropLast(3)))
        try harness.lose(routes[2])
        try harness.block(routes[3])
        try harness.hide(routes[4])
        try harness.lose(routes[5])
        try harness.spoil("\(routes[5])/inside", [1])
        try harness.spoil("agents/sales/new.json", [1, 2])
        try harness.spoil("notes/of/somebody.txt", [1])
        try harness.spoil(LivePath.header, [])
        let size = old.files[routes[1]]!.count
        #expect(
            try drift(harness, old.files)
                == [
                    "\(routes[0]) edited 5", "\(routes[1]) truncated \(size - 3)", "\(routes[2]) removed",
                    "\(routes[3]) replaced", "\(routes[4]) mode \(old.files[routes[4]]!.count)",
                    "\(routes[5]) replaced", "agents/sales/new.json added 2", "fleet.json truncated 0", "notes added",
                ].sorted()
        )
        // Looking has changed nothing, and a publication mends all but what nobody recorded.
        var publication = old.publication
        publication.clearings = ["notes", "agents/sales/new.json"]
        try harness.target.publish(publication, gate: nil)
        #expect(try drift(harness, old.files) == [])
        #expect(try harness.files() == old.files)
    }

    @Test("Something in the place of a folder is found, and each file that it hides", arguments: TargetKind.allCases)
    func lostFolder(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        try harness.lose("agents/sales")
        let missing = LiveState.team.filter { $0.team == "sales" }.map { "\(LivePath.route($0)) removed" }.sorted()
        #expect(try drift(harness, old.files) == missing)
        try harness.spoil("agents/sales", [1])
        #expect(try drift(harness, old.files) == ["agents/sales replaced"] + missing)
        try harness.block("agents/sales")
        #expect(try drift(harness, old.files) == ["agents/sales replaced"] + missing)
    }

    @Test("A drift is found by slices within one round, wherever it is", arguments: TargetKind.allCases)
    func slices(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let expected = Recorded(files: old.files)
        var cursor = try harness.target.observe(expected, .everything, sweeping: false).cursor
        for path in old.files.keys.sorted() {
            let bytes = try #require(old.files[path])
            try harness.spoil(path, bytes.reversed())
            var found: [DriftedFile] = []
            for _ in 0..<4 where found.isEmpty {
                let observation = try harness.target.observe(expected, .slice(cursor, suspects: []), sweeping: false)
                // A cursor is a value: kept on disk between two runs, it says the same.
                cursor = ObservationCursor(json: observation.cursor.json)
                found = observation.drift
            }
            #expect(found.map(\.path) == [path])
            try harness.spoil(path, bytes)
        }
    }

    @Test("A cursor that is not one starts anew, and finds everything", arguments: TargetKind.allCases)
    func strangeCursors(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        let path = LivePath.route(LiveState.team[5])
        try harness.spoil(path, [1])
        let strange: [JSONValue] = [
            .null, 0, [], [:], ["next": 1], ["next": "x", "roundStart": -1, "verifiedBefore": -1, "lookedAt": [:]],
            ["next": "", "roundStart": 0, "verifiedBefore": 0, "lookedAt": ["x": "y"]],
        ]
        for json in strange + Hostile.texts.map({ .string($0) }) {
            let cursor = ObservationCursor(json: json)
            let scope = ObservationScope.slice(cursor, suspects: ["agents", "no/such/folder"])
            let drift = try harness.target.observe(Recorded(files: old.files), scope, sweeping: false).drift
            #expect(drift.map(\.path) == [path], "\(json.canonicalBytes().prefix(40))")
        }
    }

    @Test("What was never published is missing, and no trouble", arguments: TargetKind.allCases)
    func nothingThere(_ kind: TargetKind) throws {
        let harness = try kind.make()
        #expect(try harness.target.obstacle() == nil)
        #expect(try harness.target.agents(of: nil) == [])
        #expect(try harness.target.read(LivePath.header) == nil)
        #expect(try harness.target.halt([(LiveState.team[0], [1])]) == [])
        #expect(try drift(harness, [:]) == [])
        #expect(try drift(harness, old.files) == old.files.keys.sorted().map { "\($0) removed" })
        try harness.target.publish(Publication(removals: ["agents/a/b.json"]), gate: nil)
        #expect(try harness.files() == [:])
    }

    @Test("What is not a plain file is read as nothing", arguments: TargetKind.allCases)
    func readsPlainFiles(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        try harness.block(LivePath.header)
        for path in [LivePath.header, "agents", "agents/sales", "agents/sales/nobody.json", "\(LivePath.header)/x"] {
            #expect(try harness.target.read(path) == nil)
        }
    }

    @Test("A target that cannot be used says why, and is not touched", arguments: TargetKind.allCases)
    func obstacle(_ kind: TargetKind) throws {
        let harness = try published(kind, old)
        try harness.ruin()
        #expect(try harness.target.obstacle() != nil)
    }
}
