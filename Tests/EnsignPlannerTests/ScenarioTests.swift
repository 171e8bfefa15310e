import EnsignJudge
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignTestSupport
import Foundation
import Testing

/// Whole stories of rollouts as text: a line is something that happens, the indented lines below it are its results.
///
/// `ENSIGN_RECORD=1` writes the results into the files, to be read before they are committed. What a line may say is in
/// `Scenarios/README.md`.
@Suite("Rollouts, told as scenarios")
struct ScenarioTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Scenarios")

    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".txt") }.sorted()
    }()

    @Test("The story is as it is written", arguments: names)
    func story(_ name: String) throws {
        let file = Self.folder.appendingPathComponent(name)
        let text = try String(contentsOf: file, encoding: .utf8)
        var scenario = Scenario()
        var told: [String] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("  ") { continue }
            told.append(line)
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            told += try scenario.handle(line).map { "  " + $0 }
        }
        let result = told.joined(separator: "\n")
        if ProcessInfo.processInfo.environment["ENSIGN_RECORD"] == "1" {
            try result.write(to: file, atomically: true, encoding: .utf8)
        } else {
            #expect(result == text, "\(name): ENSIGN_RECORD=1 shows the difference in git")
        }
    }

    @Test("There are stories")
    func exist() { #expect(Self.names.count >= 10) }
}

/// A small environment whose commits, clock and telemetry are lines of text.
private struct Scenario {
    private var world = World()
    private var desired: [AgentID: Wish] = [:]
    /// What git said last about agents that it no longer declares.
    private var former: [AgentID: Wish] = [:]
    private var rollout = Rollout.immediate
    private var analysis: Analysis?
    private var concurrent: Int64?
    private var prunes = true
    private var keepFor: Int64 = 7 * 86_400
    private var soakKeepFor: Int64?
    private var verdicts: [AgentID: Verdict] = [:]
    private var now: Int64 = 1_800_000_000
    private var commits: Int64 = 0
    /// How long versions must have been stable in staging, and what its ledger says, by agent and version.
    private var soak: Int64?
    private var source: [Digest: SourceRecord] = [:]
    /// Whom each version hands work to; nobody when it is not listed.
    private var delegates: [String: [AgentID]] = [:]
    /// The artifacts of versions that are other agents' versions.
    private var likes: [String: Digest] = [:]

    /// What git says about one agent.
    private struct Wish {
        var version: String
        var steps: Int64 = 8
        /// The operations of its tool that git grants.
        var grants: Set<String> = ["find", "update"]
        /// Whose artifact it is: a renamed agent's is that of its first name.
        var origin: AgentID
        var halted = false
        var rollout: Rollout?
        var wanted: Int64
    }

    enum Mistake: Error { case unknown(String) }

    mutating func handle(_ line: String) throws -> [String] {
        var words = line.split(separator: " ").map(String.init)
        let verb = words.removeFirst()
        switch verb {
        case "steps":
            let steps = try words.map { word in
                let parts = word.split(separator: ":").map(String.init)
                return Canary.Step(weight: try number(parts[0]), hold: try span(parts[1]))
            }
            rollout = .canary(Canary(steps: steps, analysis: analysis))
            return []
        case "immediate":
            rollout = .immediate
            return []
        case "analysis":
            var options = Self.options(words)
            analysis = Analysis(
                metrics: [],
                confidence: 0.95,
                deadline: try options.removeValue(forKey: "deadline").map(span),
                onInconclusive: options.removeValue(forKey: "inconclusive").flatMap { .init(rawValue: $0) } ?? .hold
            )
            if case .canary(let canary) = rollout { rollout = .canary(Canary(steps: canary.steps, analysis: analysis)) }
            return []
        case "concurrent":
            concurrent = try number(words[0])
            return []
        case "prune":
            prunes = words[0] != "off"
            return []
        case "keepFor":
            // A commit that changes it does not do so for the soak of what it asks for itself.
            if words.count > 1 { soakKeepFor = keepFor }
            keepFor = try span(words[0]).seconds
            return []
        case "soak":
            soak = words[0] == "none" ? nil : try span(words[0]).seconds
            return []
        case "staging":
            let artifact = Self.artifact(agent(words[0]), words[1])
            switch words[2] {
            case "since":
                let since = Timestamp(seconds: now - (try span(words[3]).seconds))
                let until = words.count > 5 ? Timestamp(seconds: now - (try span(words[5]).seconds)) : nil
                let period = StablePeriod(since: since, until: until, sequence: 7)
                source[artifact] = .record(StableRecord(periods: [period], flaw: nil), entry: .zero)
            case "unknown": source[artifact] = .unknown(words.dropFirst(3).joined(separator: " "))
            default:
                source[artifact] = .record(
                    StableRecord(periods: [], flaw: words.dropFirst(2).joined(separator: " ")),
                    entry: .zero
                )
            }
            return []
        case "verdict":
            verdicts[agent(words[0])] = Verdict(rawValue: words[1])
            return try reconcile()
        case "desire":
            commits += 1
            let id = agent(words[0])
            let options = Self.options(Array(words.dropFirst(2)))
            var wish = Wish(version: words[1], origin: id, wanted: now + commits)
            if let name = options["as"] { wish.origin = agent(name) }
            if let name = options["like"] {
                let parts = name.split(separator: "@").map(String.init)
                guard parts.count == 2 else { throw Mistake.unknown(line) }
                likes["\(wish.origin) \(words[1])"] = Self.artifact(agent(parts[0]), parts[1])
            }
            if let names = options["grants"] { wish.grants = Set(names.split(separator: ",").map(String.init)) }
            wish.steps = try options["limit"].map(number) ?? 8
            wish.halted = options["halted"] != nil
            if options["immediate"] != nil { wish.rollout = .immediate }
            if let names = options["delegates"] {
                delegates["\(id) \(words[1])"] = names.split(separator: ",").map { agent(String($0)) }
            }
            desired[id] = wish
            return options["later"] == nil ? try reconcile() : []
        case "remove":
            former[agent(words[0])] = desired.removeValue(forKey: agent(words[0]))
            return try reconcile()
        case "rename":
            former[agent(words[0])] = desired[agent(words[0])]
            desired[agent(words[1])] = desired.removeValue(forKey: agent(words[0]))
            return try reconcile()
        case "grants":
            let grants = Set(words[1...])
            desired[agent(words[0])]?.grants = grants
            former[agent(words[0])]?.grants = grants
            return try reconcile()
        case "stop":
            let halt = Halt(since: Timestamp(seconds: now), reason: "stop", by: "ada")
            if words[0] == "all" { world.halts.all = halt } else { world.halts.teams[words[0]] = halt }
            return []
        case "may":
            return try world.recorded[agent(words[0])]?.route?.targets.map { target in
                guard let bundle = world.bundles[target.digest] else { throw Mistake.unknown(line) }
                let operations = bundle.tools.flatMap { $0.operations.keys }.sorted().joined(separator: ", ")
                return "\(target.version): \(operations), \(bundle.limits.run.steps ?? 0) steps"
            } ?? ["nothing"]
        case "after":
            now += try span(words[0]).seconds
            return try reconcile()
        case "clock":
            let back = words[0].hasPrefix("-")
            let step = try span(String(words[0].dropFirst())).seconds * (back ? -1 : 1)
            now += step
            return try reconcile(clockStep: step)
        case "evidence":
            guard let since = world.recorded[agent(words[0])]?.state.canary?.progress.evidenceSince.seconds else {
                return ["none"]
            }
            let span = TimeSpan.short(milliseconds: abs(now - since) * 1_000)
            if since == now { return ["runs from now on count"] }
            return [since > now ? "no run counts for \(span)" : "runs of the last \(span) count"]
        case "rebuild":
            return try reread()
        case "override":
            let operation = RolloutOperation.override(AgentVersion(words[1]))
            let reason = words.dropFirst(operation == .override(nil) ? 1 : 2).joined(separator: " ")
            return try reconcile(
                request: OperatorRequest(agent: agent(words[0]), operation: operation, by: "ada", reason: reason)
            )
        case "pause", "resume", "promote", "abort", "retry", "halt", "unhalt", "rollback":
            let operations: [String: RolloutOperation] = [
                "pause": .pause, "resume": .resume, "promote": .promote, "abort": .abort, "retry": .retry(nil),
                "halt": .halt, "unhalt": .unhalt, "rollback": .rollback(to: nil),
            ]
            guard let operation = operations[verb] else { throw Mistake.unknown(line) }
            let reason = words.dropFirst().joined(separator: " ")
            return try reconcile(
                request: OperatorRequest(agent: agent(words[0]), operation: operation, by: "ada", reason: reason)
            )
        default: throw Mistake.unknown(line)
        }
    }

    private static func options(_ words: [String]) -> [String: String] {
        var options: [String: String] = [:]
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            options[parts[0]] = parts.count == 2 ? parts[1] : ""
        }
        return options
    }

    private func number(_ text: String) throws -> Int64 {
        guard let number = Int64(text) else { throw Mistake.unknown(text) }
        return number
    }

    private func span(_ text: String) throws -> TimeSpan {
        guard let span = TimeSpan(text) else { throw Mistake.unknown(text) }
        return span
    }

    private static func artifact(_ origin: AgentID, _ version: String) -> Digest {
        Compiler.digest(of: Array("\(origin)@\(version)".utf8))
    }

    private func compile(_ id: AgentID, _ version: String, _ wish: Wish) -> CompiledBundle {
        let live = world.recorded
        let delegates = (delegates["\(id) \(version)"] ?? []).filter { desired[$0] != nil || live[$0]?.isLive == true }
        return compiled(
            bundle(id.description, version) {
                $0.delegates = delegates
                $0.instructions = "Be \(version).\n"
                $0.limits.run.steps = wish.steps
                $0.tools[0].operations = $0.tools[0].operations.filter { wish.grants.contains($0.key) }
                if $0.tools[0].operations.isEmpty { $0.tools = [] }
                $0.artifact = likes["\(wish.origin) \(version)"] ?? Self.artifact(wish.origin, version)
            },
            halted: wish.halted
        )
    }

    private mutating func reconcile(clockStep: Int64? = nil, request: OperatorRequest? = nil) throws -> [String] {
        let (verdicts, desired, former, analysis, story) = (verdicts, desired, former, analysis, self)
        var context = RolloutContext(
            now: Timestamp(seconds: now),
            clockStep: clockStep,
            keepFor: keepFor,
            concurrentRollouts: concurrent,
            request: request,
            compile: { id, version in (desired[id] ?? former[id]).map { story.compile(id, version.description, $0) } },
            restrict: { Compiler.restrict($0, to: $1) },
            verdict: { id, _ in
                CanaryVerdict(verdicts[id] ?? (analysis == nil ? .notAnalysed : .noData))
            }
        )
        context.promotion = soak.map { PromotionRule(source: "staging", soak: $0, keepFor: soakKeepFor ?? keepFor) }
        context.proven = { _, _, version in
            story.source[version.artifact] ?? .record(StableRecord(periods: [], flaw: nil), entry: .zero)
        }
        let before = world.recorded
        let plan: Plan
        do {
            plan = try world.plan(
                desired.map { story.compile($0.key, $0.value.version, $0.value) },
                prune: prunes,
                rollout: rollout,
                wanted: desired.mapValues { ($0.rollout, Timestamp(seconds: $0.wanted)) },
                context: context
            )
        } catch let refusal as RolloutRefusal {
            return ["refused: \(refusal.message)"]
        }
        world.apply(plan, at: Timestamp(seconds: now))
        expectNamed(plan, before)
        var lines: [String] = []
        for change in plan.changes.flatMap(\.all) {
            var line = "\(change.action.rawValue) \(change.agent?.description ?? "")"
            let sides = [change.from, change.to].compactMap { $0?.version.description }
            line += " " + (Set(sides).count == 1 ? sides[0] : sides.joined(separator: " -> "))
            if let weight = change.weight { line += ", \(weight.from) -> \(weight.to) %" }
            if let why = change.evidence?.reason { line += " (\(why))" }
            lines.append(line)
        }
        for planned in plan.changes {
            for sentence in planned.stableDifference?.authority.lost ?? [] {
                lines.append("\(planned.agent) \(planned.recompiled?.version.description ?? "") \(sentence)")
            }
            for note in planned.notes { lines.append("\(planned.agent): \(note)") }
        }
        for held in plan.held { lines.append("held \(held.agent) \(held.wanted.version): \(held.reason.rawValue)") }
        for leaving in plan.leaving { lines.append("leaving \(leaving.agent): \(leaving.sentence)") }
        for (id, after) in world.recorded.sorted(by: { $0.key < $1.key }) where after.route != before[id]?.route {
            let targets = after.route?.targets.map { "\($0.version) \($0.weight) %" } ?? []
            let phase = after.route?.phase.rawValue ?? "gone"
            lines.append("= \(id) \(phase)" + (targets.isEmpty ? "" : ": " + targets.joined(separator: ", ")))
        }
        return lines.isEmpty ? ["nothing"] : lines
    }

    /// Whatever loses its last route is named by a change: `keepFor` counts from there.
    private func expectNamed(_ plan: Plan, _ before: [AgentID: RecordedAgent]) {
        for planned in plan.changes {
            let had = Set(before[planned.agent]?.route?.targets.map(\.digest) ?? [])
            let has = world.recorded[planned.agent]?.route?.targets.map(\.digest) ?? []
            let named = planned.all.flatMap { [$0.from?.digest].compactMap { $0 } + ($0.evidence?.replaced ?? []) }
            // A stop takes the route away, and nothing of what it led to.
            guard world.recorded[planned.agent]?.isHalted != true else { continue }
            #expect(had.subtracting(has).isSubset(of: named), "\(planned.agent) at \(now)")
        }
    }

    /// Forgets everything but what is in the ledger's tree.
    private mutating func reread() throws -> [String] {
        try world.reread()
        return ["= as before"]
    }
}
