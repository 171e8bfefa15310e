import EnsignModel
import EnsignTestSupport
import Testing

/// Whatever a file contains: it is refused, or what is done with it next comes to an end without a trap.
@Suite("Hostile values in what is recorded")
struct HostileParserTests {
    private let time = Timestamp(seconds: 1_795_251_600)

    private func digest(_ digit: Character) throws -> Digest {
        try #require(Digest(hex: String(repeating: digit, count: 64)))
    }

    private func side(_ version: String, _ digit: Character) throws -> Change.Side {
        Change.Side(version: try #require(AgentVersion(version)), digest: try digest(digit))
    }

    private func state() throws -> AgentState {
        let candidate = Candidate(
            side: try side("1.5.0", "c"),
            artifact: try digest("d"),
            kind: .behaviour,
            source: .zero,
            wanted: time
        )
        let progress = CanaryProgress(
            step: 1,
            weight: 5,
            stepSince: time,
            started: time,
            evidenceSince: time,
            pause: CanaryProgress.Pause(since: time, reason: "lunch")
        )
        var state = AgentState(
            stable: try side("1.4.0", "5"),
            haltedByGit: true,
            halt: Halt(since: time, reason: "because", by: "ada@host"),
            rollout: .canary(candidate, progress),
            quarantine: [
                Quarantine(
                    mark: .artifact(try digest("e")),
                    version: try #require(AgentVersion("1.3.0")),
                    since: time,
                    reason: "worse"
                )
            ]
        )
        state.activityAfterHalt = time
        return state
    }

    private func entry() throws -> Entry {
        var change = Change(
            agent: AgentID("support/triage"),
            action: .weight,
            from: try side("1.4.0", "5"),
            to: try side("1.5.0", "c"),
            kind: .widening,
            weight: Change.Weight(from: 0, to: 5)
        )
        change.remember(try state())
        return Entry(
            sequence: 42,
            kind: .outcome,
            environment: "prod",
            previous: Entry.Previous(commit: .zero, sha256: String(repeating: "a", count: 64)),
            source: Entry.Source(ref: "refs/heads/main", commit: .zero, author: "Ada", signer: nil, signature: .none),
            actor: Entry.Actor(mode: .hook, name: "git", host: "host", version: "0.1.0"),
            time: time,
            reason: Entry.Reason(.sync),
            changes: [change],
            changesElsewhere: Entry.ChangesFile(total: 1, sha256: String(repeating: "b", count: 64)),
            counts: ["agents": 7, "weight": 1],
            result: .ok,
            error: "nothing",
            keys: ["ssh-ed25519 AAAA"]
        )
    }

    @Test("An entry is refused, or its numbers can be added to and it is written as it was")
    func entries() throws {
        let json = try entry().json
        #expect(Entry(json: json) == (try entry()))
        var read = 0
        Hostile.variants(of: json, for: "entries") { json in
            guard var entry = Entry(json: json) else { return }
            read += 1
            #expect(Entry(json: entry.json) == entry)
            _ = entry.sequence + 1
            _ = entry.counts.values.reduce(0, +)
            for effect in AgentEffect.of(entry.changes, environment: "prod") ?? [] {
                _ = (entry.counts["agents"] ?? 0) + effect.changes.live
                _ = effect.digests
            }
            entry.bound()
            (entry.changes, entry.counts) = ([], [:])
            entry.keys = nil
            entry.environment = "prod"
            entry.source?.ref = "refs/heads/main"
            entry.source?.signer = nil
            entry.actor.version = "0.1.0"
            #expect(entry.bytes.count <= Entry.maxBytes)
        }
        #expect(read > 100)
    }

    @Test("An agent's state is refused, or its rollout can be asked for any time and set to any clock")
    func states() throws {
        let hold = try #require(TimeSpan("36525d"))
        let analysis = Analysis(metrics: [], confidence: 0.95, deadline: hold, onInconclusive: .hold)
        let canary = Canary(steps: [Canary.Step(weight: 5, hold: hold)], analysis: analysis)
        let agent = try #require(AgentID("support/triage"))
        var read = 0
        try Hostile.variants(of: try state().json, for: "states") { json in
            guard let state = AgentState(json: json) else { return }
            read += 1
            #expect(AgentState(json: state.json) == state)
            if let route = state.route(agent, "prod") { #expect(Route(json: route.json) == route) }
            var running = state
            (running.haltedByGit, running.halt) = (false, nil)
            if let route = running.route(agent, "prod") { #expect(Route(json: route.json) == route) }
            guard var progress = state.canary?.progress else { return }
            progress.pause = nil
            _ = progress.present(canary)
            for now in try Hostile.times.map({ try #require(Timestamp($0)) }) {
                for canary in [canary, Canary(steps: [], analysis: nil)] {
                    _ = (progress.holdEnds(canary), progress.deadline(canary), progress.due(canary, after: now))
                }
                for step in Hostile.integers {
                    var set = state.canary?.progress
                    set?.clockWasSet(to: now, by: step)
                    if let set { #expect(!set.isAhead(of: now)) }
                }
            }
        }
        #expect(read > 100)
    }

    @Test("Stops of everything and of teams are refused, or cover agents and are written as they were")
    func fleetHalts() throws {
        let halt = Halt(since: time, reason: "because", by: "ada@host")
        let halts = FleetHalts(all: halt, teams: ["support": halt])
        let agent = try #require(AgentID("support/triage"))
        Hostile.variants(of: halts.json, for: "fleetHalts") { json in
            guard let halts = FleetHalts(json: json) else { return }
            #expect(FleetHalts(json: halts.json) == halts && halts.isAtLeast(halts))
            _ = (halts.covering(agent), halts.bytes)
            let change = halts.change(.halt, .all, reason: Hostile.letter, by: Hostile.letter)
            #expect(FleetHalts.after([change]) == .some(halts))
        }
    }

    @Test("A route is refused, or its weights add up and every bucket has a target")
    func routes() throws {
        let route = Route(
            agent: try #require(AgentID("support/triage")),
            environment: "prod",
            phase: .canary,
            targets: [
                Route.Target(version: try side("1.5.0", "c").version, digest: try digest("c"), weight: 5),
                Route.Target(version: try side("1.4.0", "5").version, digest: try digest("5"), weight: 95),
            ]
        )
        Hostile.variants(of: route.json, for: "routes") { json in
            guard let route = Route(json: json) else { return }
            #expect(Route(json: route.json) == route)
            for bucket in 0..<Int64(100) where route.phase != .halted { #expect(route.target(bucket: bucket) != nil) }
            _ = route.bucketText(key: Hostile.letter)
        }
    }

    @Test("A bundle is refused, or written as it was")
    func bundles() throws {
        let json: JSONValue = [
            "agent": "support/triage", "artifact": .string(try digest("a").description), "autonomy": "full",
            "contract": ["input": ["type": "object"], "output": .null], "delegates": ["it/desk"],
            "description": "Sorts.",
            "environment": "prod", "identity": "spiffe://fleet.local/prod/support/triage", "instructions": "Sort.\n",
            "labels": ["domain": "refunds"],
            "limits": ["costUSD": 0.5, "costUSDPerDay": 40, "seconds": 90, "steps": 8, "tokens": 20_000],
            "model": ["provider": "anthropic", "name": "claude", "parameters": ["temperature": 0.2]],
            "owner": "support", "runtime": ["kind": "langgraph"],
            "tools": [
                [
                    "credentials": ["ref": "vault:crm"], "description": .null, "server": ["mcp": ["command": ["crm"]]],
                    "tool": "crm", "version": "2.1.0",
                    "operations": [
                        "find": [
                            "access": "read", "approval": "none", "description": .null, "expires": "2027-06-30",
                            "idempotent": true, "input": ["type": "object"], "output": .null, "risk": "low",
                            "timeout": "5s",
                        ]
                    ],
                ]
            ],
            "version": "1.0.0",
        ]
        var read = 0
        Hostile.variants(of: json, for: "bundles") { json in
            guard let bundle = Bundle(json: json) else { return }
            read += 1
            #expect(Bundle(json: bundle.json)?.json == bundle.json)
        }
        #expect(read > 100)
    }

    @Test("Any text is a version, a time, a duration, a digest or a name, or none")
    func texts() {
        var random = SeededGenerator(for: "texts", standard: 23)
        let pieces =
            Hostile.texts + [
                "1", ".", "-", "+", "Z", "T", "ms", "s", "m", "h", "d", "sha256:", "9999", "1.0.0", "next",
            ]
        for _ in 0..<20_000 {
            let text = (0..<random.int(1...4)).map { _ in random.pick(pieces) }.joined()
            if let version = SemanticVersion(text) { #expect(version.description == text && version == version) }
            if let time = Timestamp(text) {
                #expect(time.description == text)
                _ = Moment(time).timestamp
            }
            if let span = TimeSpan(text) {
                #expect((0...36_525 * 86_400_000).contains(span.milliseconds))
                _ = TimeSpan.short(milliseconds: span.milliseconds)
            }
            if let date = CalendarDate(text) { #expect(CalendarDate(daysSince1970: date.daysSince1970) == date) }
            _ = (Digest(text), ObjectID(text), AgentID(text), MetricName(text), AgentVersion(text))
        }
    }

    @Test("Versions of any size order without an end")
    func versions() {
        let texts = ["0.0.0", "18446744073709551615.0.0", "1.0.0-9223372036854775808", "1.0.0-a.18446744073709551616"]
        let versions = texts.compactMap { SemanticVersion($0) }
        #expect(versions.count == 4 && versions.sorted().count == 4)
        #expect(SemanticVersion("18446744073709551616.0.0") == nil)
    }
}

@Suite("Numbers at the ends of their range")
struct SaturationTests {
    @Test("A moment and a time stop at the ends of their range, whatever is added, and can be read back")
    func times() {
        for seconds in Hostile.integers {
            let time = Timestamp(seconds: seconds)
            #expect(Timestamp(time.description) == time)
            #expect(Timestamp.range.contains(time.seconds))
            for distance in Hostile.integers {
                let other = Timestamp(seconds: distance)
                #expect(Timestamp.range.contains(time.advanced(seconds: distance).seconds))
                #expect(time.seconds(since: other) == time.seconds - other.seconds)
                let moment = Moment(nanoseconds: seconds)
                let later = moment.advanced(milliseconds: distance)
                #expect(distance < 0 ? later <= moment : later >= moment)
                #expect((Moment(nanoseconds: distance).nanoseconds(since: moment) < 0) == (distance < seconds))
            }
            _ = (Moment(time).timestamp, Moment(nanoseconds: seconds).timestamp, time.date)
        }
    }

    @Test("Sums, differences and products stop where the type ends")
    func saturating() {
        for one in Int8.min ... .max {
            for other in Int8.min ... .max {
                func clamped(_ value: Int) -> Int8 { Int8(clamping: value) }
                #expect(one.adding(saturating: other) == clamped(Int(one) + Int(other)))
                #expect(one.subtracting(saturating: other) == clamped(Int(one) - Int(other)))
                #expect(one.multiplied(saturating: other) == clamped(Int(one) * Int(other)))
            }
        }
    }

    @Test("What JSON has no number for is written as null")
    func notFinite() {
        for number in [Double.nan, .infinity, -.infinity] {
            #expect(JSONValue(number) == .null)
            #expect(JSONValue.number(number).canonicalBytes() == Array("null".utf8))
        }
    }
}
