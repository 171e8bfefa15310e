import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTargets
import EnsignTestSupport
import Testing

@testable import EnsignCommands
@testable import EnsignQueries
@testable import EnsignReconciler

/// Console and values that renderers take.
enum Shown {
    static let plain = Console("ensign", colour: false, errorColour: false, isInteractive: false)
    static let side = Change.Side(version: version("1.0.0"), digest: compiled(bundle()).digest)
    static let next = Change.Side(version: version("1.1.0"), digest: compiled(bundle("support/triage", "1.1.0")).digest)

    static func report(
        _ result: Reconciler.Report.Result = .converged,
        _ change: (inout Reconciler.Report) -> Void = { _ in }
    )
        -> ReconcileReport
    {
        var report = Reconciler.Report(result: result)
        change(&report)
        return ReconcileReport(report, "prod")
    }

    static func lines(_ answer: ReconcileReport, quiet: Bool = false) -> [Said] {
        ReconcileRenderer(answer: answer, console: plain) { _ in nil }.lines(quiet: quiet, showsWarnings: true)
    }

    static func plan(_ changes: [PlannedChange] = []) -> Plan {
        Plan(
            environment: "prod",
            source: PlanSource(name: "main", commit: nil),
            entry: nil,
            changes: changes,
            unchanged: 2,
            kept: [],
            liveBefore: 3,
            refusal: nil
        )
    }

    static func planned(from old: Bundle, to new: Bundle) -> PlannedChange {
        let (before, after) = (compiled(old), compiled(new))
        let difference = BundleDifference(before: old, after: new)
        return PlannedChange(
            agent: new.agent,
            change: Change(
                agent: new.agent,
                action: .update,
                from: before.side,
                to: after.side,
                kind: difference.kind
            ),
            difference: PlannedDifference(difference),
            route: nil,
            state: nil,
            bundle: after,
            declaredOnly: []
        )
    }
}

@Suite("What a reconcile came to, in words")
struct ReconcileRendererTests {
    @Test("A run that finds nothing says so on standard error, with the entry")
    func nothing() {
        let answer = Shown.report { $0.entry = PlanEntry(sequence: 7, commit: .zero) }
        #expect(Shown.lines(answer) == [.note("prod: nothing to do, at entry 7")])
        #expect(Shown.lines(answer, quiet: true).isEmpty)
        #expect(WatchRenderer(answer: answer).lines.isEmpty)
        #expect(answer.isUneventful)
    }

    @Test("What was done is a result, what somebody should know is a note")
    func streams() {
        let answer = Shown.report {
            $0.entry = PlanEntry(sequence: 8, commit: .zero)
            $0.drift = [DriftedFile(path: "a/b.json", found: .added, size: 3)]
            $0.warnings = ["telemetry is behind"]
            $0.recovered = true
        }
        let said = Shown.lines(answer)
        #expect(said.contains(.result("prod: repaired a/b.json (added, now removed)")))
        #expect(said.contains(.note("prod: warning: telemetry is behind")))
        #expect(said.contains(.note("prod: an interrupted run was recovered")))
        #expect(WatchRenderer(answer: answer).lines.contains("prod: repaired a/b.json (added, now removed), entry 8"))
        #expect(!answer.isUneventful)
    }

    @Test("More than 50 lines of a kind are counted, and the ledger is named")
    func many() {
        let answer = Shown.report {
            $0.drift = (0..<60).map { DriftedFile(path: "f\($0)", found: .edited, size: nil) }
        }
        let results = Shown.lines(answer).filter { if case .result = $0 { true } else { false } }
        #expect(results.count == 51)
        #expect(results.last == .result("prod: ... and 10 more: 'ensign log --env prod'"))
    }

    @Test("Each result has its words, in reconcile and in watch")
    func results() {
        #expect(Shown.lines(Shown.report(.nothingDeclared)) == [.note("prod: nothing is declared yet")])
        #expect(
            Shown.lines(Shown.report(.invalid))
                == [.note("prod: not applied: the manifests are invalid; what was live stays")]
        )
        let refused = Shown.report(.refused("this would remove all 3 live agents"))
        #expect(
            Shown.lines(refused).first
                == .note("prod: refused: this would remove all 3 live agents; what was live stays")
        )
        #expect(WatchRenderer(answer: refused).lines == ["prod: refused, this would remove all 3 live agents"])
        var again = refused
        again.report.repeats = true
        #expect(WatchRenderer(answer: again).lines.isEmpty, "the same refusal is said once")
        let impossible = Shown.report(.impossible(.noRollout))
        #expect(Shown.lines(impossible) == [.note("prod: refused: \(RolloutRefusal.noRollout.message)")])
    }

    @Test("JSON has the same keys whatever came of it")
    func json() throws {
        let results: [Reconciler.Report.Result] = [
            .nothingDeclared, .converged, .invalid, .refused("why"), .impossible(.noRollout),
        ]
        let keys = results.map { Shown.report($0).json.object.map { $0.map(\.key).sorted() } }
        #expect(Set(keys).count == 1)
        #expect(Shown.report(.refused("why")).json["result"] == "refused")
        #expect(Shown.report(.refused("why")).json["message"] == "why")
    }
}

@Suite("A plan, in words")
struct PlanRendererTests {
    private static let old = bundle()
    private static let new = bundle("support/triage", "1.1.0") {
        $0.instructions = "Sort.\nAnd smile.\n"
        $0.limits.run.costUSD = 2
    }

    @Test("A change has a title, its digests, its differences and what authority it gains")
    func change() throws {
        let text = try PlanRenderer(plan: Shown.plan([Shown.planned(from: Self.old, to: Self.new)])).text()
        #expect(text.hasPrefix("prod: plan from main against nothing: there is no ledger yet\n"))
        #expect(text.contains("~ support/triage  update  1.0.0 -> 1.1.0  [widening]"))
        #expect(text.contains("+And smile."))
        #expect(text.contains("authority gained:"))
        #expect(text.hasSuffix("Plan: 0 to create, 1 to update, 0 to delete, 2 unchanged.\n"))
    }

    @Test("What is held says what lets it through", arguments: HeldReason.allCases)
    func held(_ reason: HeldReason) throws {
        var plan = Shown.plan()
        var held = HeldAgent(agent: agent("support/triage"), wanted: Shown.next, reason: reason)
        held.stable = Shown.side
        held.because = "refunds\neverybody"
        held.difference = BundleDifference(before: Self.old, after: Self.new)
        plan.held = [held]
        let text = try PlanRenderer(plan: plan).text()
        #expect(text.contains("1.0.0 -> 1.1.0  [widening]  \(reason.lifting) (refunds\\u{a}everybody)"))
        #expect(reason.lifting.hasPrefix("held, "))
        #expect(!reason.words.isEmpty && !reason.waitsFor(isHost: true, silence: nil).isEmpty)
    }

    @Test("More agents than the limit are counted")
    func limit() throws {
        let changes = (0..<4).map { number in
            Shown.planned(
                from: bundle("support/a\(number)"),
                to: bundle("support/a\(number)", "1.1.0") { $0.instructions = "B\(number).\n" }
            )
        }
        var renderer = PlanRenderer(plan: Shown.plan(changes))
        renderer.limit = 3
        #expect(try renderer.text().contains("... and 1 more: 'ensign plan --env prod' shows them all"))
        #expect(try renderer.text().contains("4 to update"))
    }

    @Test("Equal changes of many agents are one block with a count and names; others stand for themselves")
    func groups() throws {
        var changes = (0..<800).map { number in
            Shown.planned(
                from: bundle("support/a\(number)"),
                to: bundle("support/a\(number)", "1.1.0") { $0.instructions = "B.\n" }
            )
        }
        changes.append(
            Shown.planned(from: bundle("support/z"), to: bundle("support/z", "1.1.0") { $0.instructions = "C.\n" })
        )
        let renderer = PlanRenderer(plan: Shown.plan(changes))
        let text = try renderer.text()
        #expect(text.contains("  ~ 800 agents  update  1.0.0 -> 1.1.0"), "\(text.prefix(400))")
        #expect(text.contains("      support/a0, support/a1, support/a2, support/a3, support/a4 and 795 more\n"))
        #expect(text.contains("  ~ support/z  update") && text.contains("801 to update"))
        #expect(text.split(separator: "\n").count < 40)
        let markdown = try renderer.markdown()
        #expect(markdown.contains("#### 800 agents: update") && markdown.contains("`support/a799`"))
        #expect(try PlanReport(Shown.plan(changes)).json()["changes"]?.array?.count == 801)
    }
}

@Suite("Findings as text")
struct FindingRendererTests {
    private func finding(_ severity: Finding.Severity, _ path: String, _ message: String) -> Finding {
        Finding(severity, code: "need-without-grant", message, path: path)
    }

    @Test("Warnings that say the same are shown once with their places; errors are each shown")
    func alike() {
        let renderer = FindingRenderer(paint: { text, _ in text }, source: { _ in nil })
        let warnings = (0..<10).map { finding(.warning, "a\($0).yaml", "nothing grants it") }
        let text = renderer.render(warnings + [finding(.warning, "b.yaml", "something else")])
        #expect(
            text == """
                a0.yaml:1:1: warning: nothing grants it [need-without-grant]
                  and 9 places more: a1.yaml:1:1, a2.yaml:1:1, a3.yaml:1:1, a4.yaml:1:1, a5.yaml:1:1, ...
                b.yaml:1:1: warning: something else [need-without-grant]

                """
        )
        let errors = renderer.render((0..<10).map { finding(.error, "a\($0).yaml", "wrong") })
        #expect(errors.split(separator: "\n").count == 10)
    }
}

@Suite("What proving a ledger came to, in words")
struct LedgerCheckRendererTests {
    private func lines(_ verdict: Verifier.Verdict, caveat: String? = nil, inJSON: Bool = false) -> [Said] {
        var report = Verifier.Report(verdict: verdict, entries: 3, tip: nil)
        report.caveat = caveat
        let check = LedgerCheck(environment: "prod", report: report)
        return LedgerCheckRenderer(check: check, console: Shown.plain).lines(inJSON: inJSON)
    }

    @Test("Each verdict is a result with its reason as a note")
    func verdicts() {
        #expect(lines(.intact) == [.result("prod: intact, no entries yet")])
        #expect(
            lines(.broken(at: 4, why: "the tree is another"))
                == [.result("prod: broken at 4, 3 entries"), .note("  the tree is another")]
        )
        #expect(lines(.forked(why: "x"), inJSON: true).isEmpty)
        #expect(
            lines(.intact, caveat: "the mark is damaged", inJSON: true) == [.note("prod: warning: the mark is damaged")]
        )
    }
}

@Suite("Tables")
struct TableTests {
    @Test("Columns are as wide as their widest cell, and no line ends in blanks")
    func columns() {
        let table = TextTable(header: ["A", "B"], rows: [["long cell", "x"], ["y", ""]])
        #expect(table.render(Shown.plain) == "A          B\nlong cell  x\ny\n")
        #expect(TextTable(header: ["A"]).render(Shown.plain).isEmpty)
    }

    @Test("On a terminal the widest columns are cut until a line fits; elsewhere nothing is")
    func width() {
        let long = String(repeating: "x", count: 200)
        let table = TextTable(
            header: ["AGENT", "WHY", "MORE"],
            rows: [["support/triage", long, long], ["a/b", "-", "-"]]
        )
        var console = Shown.plain
        #expect(table.render(console).contains(long))
        for width in [60, 80, 120, 300] {
            console.width = width
            let lines = table.render(console).split(separator: "\n")
            #expect(lines.allSatisfy { $0.count <= width }, "\(width): \(lines)")
            #expect(lines[1].hasPrefix("support/triage  x") && lines[1].hasSuffix("..."))
        }
        // Too narrow for anything: still a table.
        console.width = 5
        #expect(table.render(console).split(separator: "\n").count == 3)
    }

    @Test("The registry's rows are cells, with ? for a version that cannot be read and - for none")
    func registry() {
        let row = Registry.AgentRow(
            agent: agent("support/triage"),
            versions: [version("1.0.0"), version("1.1.0")],
            description: "Sorts.\u{1B}[2J",
            deployments: [
                "dev": Registry.Deployed(version: nil, isHalted: false),
                "prod": Registry.Deployed(version: version("1.0.0"), isHalted: true),
            ]
        )
        let registry = Registry(commit: .zero, rows: .agents([row], environments: ["dev", "prod", "staging"]))
        #expect(registry.table.header == ["AGENT", "VERSIONS", "DEV", "PROD", "STAGING", "DESCRIPTION"])
        #expect(
            registry.table.rows == [
                ["support/triage", "1.0.0 1.1.0", "?", "1.0.0 (halted)", "-", "Sorts.\\u{1b}[2J"]
            ]
        )
        #expect(registry.json["agents"]?[0]?["environments"]?["staging"] == JSONValue.null)
    }
}
