import EnsignCommandLine
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

/// What others wrote must not steer the terminal of whoever asks, whichever verb shows it.
@Suite("Nothing that others wrote steers a terminal")
struct HostileOutputTests {
    private static let text = Hostile.unsafeText

    private func expectSafe(_ output: String, _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation) {
        let unsafe = output.unicodeScalars.first { DisplayText.isUnsafe($0) && $0 != "\n" }
        #expect(unsafe == nil, what, sourceLocation: sourceLocation)
        #expect(output.contains("\\u{202e}"), what, sourceLocation: sourceLocation)
    }

    private func expectSafe(_ said: [Said], _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation) {
        for line in said {
            switch line {
            case .result(let text), .note(let text):
                expectSafe(text, what, sourceLocation: sourceLocation)
            }
        }
    }

    @Test("Findings: message, hint, note, path, and the line itself")
    func findings() {
        var finding = Finding(code: "x", Self.text, path: Self.text, hint: Self.text)
        finding.notes = [Finding.Note(path: Self.text, position: .start, message: Self.text)]
        expectSafe(FindingRenderer(paint: { text, _ in text }, source: { _ in nil }).render([finding]), "finding")
        let line = Array(("a: " + Self.text.filter { $0 != "\n" }).utf8)
        let shown = FindingRenderer(paint: { text, _ in text }, source: { _ in line }).render([
            Finding(code: "x", "plain", path: "a.yaml")
        ])
        #expect(!shown.unicodeScalars.contains { DisplayText.isUnsafe($0) && $0 != "\n" })
    }

    @Test("The caret is below its character, whatever was hidden before it")
    func caret() {
        let text = "a\u{200B}b\u{FE0F}c"
        let shown = FindingRenderer(paint: { text, _ in text }, source: { _ in Array(text.utf8) }).render([
            Finding(code: "x", "here", path: "a.yaml", at: Position(line: 1, column: 5))
        ])
        #expect(shown.contains("  a b c\n      ^\n"))
    }

    @Test("Errors and their hints")
    func errors() {
        let explanation = Explanation(Failure(message: Self.text, hints: [Self.text]))
        expectSafe(explanation.message.onOneLine, "message")
    }

    @Test("A reconcile and a watch: reasons, paths, warnings, notes, refusals, guards")
    func reconcile() {
        let id = agent("support/triage")
        let rolledBack = Change(
            agent: id,
            action: .rollback,
            from: Shown.next,
            to: Shown.side,
            kind: .behaviour,
            evidence: Evidence(reason: Self.text)
        )
        let answers = [
            Shown.report { $0.warnings = [Self.text] }, Shown.report { $0.notes = [Self.text] },
            Shown.report { $0.drift = [DriftedFile(path: Self.text, found: .edited, size: nil)] },
            Shown.report { $0.halts = [rolledBack] }, Shown.report { $0.behaviour = [rolledBack] },
            Shown.report(.refused(Self.text)),
        ]
        for (index, answer) in answers.enumerated() {
            let said = Shown.lines(answer).filter {
                if case .note(let text) = $0 { !text.contains("hint:") } else { true }
            }
            expectSafe(said, "answer \(index)")
            for line in WatchRenderer(answer: answer).lines { expectSafe(line, "watch \(index)") }
        }
    }

    @Test("A plan, as text and as Markdown: differences, instructions, notes, warnings, reasons")
    func plan() throws {
        var planned = Shown.planned(
            from: bundle(),
            to: bundle("support/triage", "1.1.0") {
                $0.instructions = Self.text
                $0.description = Self.text
            }
        )
        planned.notes = [Self.text]
        var plan = Shown.plan([planned])
        plan.warnings = [Self.text]
        plan.guards = [GuardChange(what: "x", direction: .loosened, scope: "all", agents: 2, text: Self.text)]
        expectSafe(try PlanRenderer(plan: plan).text(), "text")
        let markdown = try PlanRenderer(plan: plan).markdown()
        let unsafe = markdown.unicodeScalars.first { DisplayText.isUnsafe($0) && $0 != "\n" && $0 != "\t" }
        #expect(unsafe == nil)
    }

    @Test("Markdown of others' is text, also with marks and entities")
    func markdown() {
        #expect(
            "*\u{301}a_b <i> &#x202e; [x](y) `z` #1 | \u{202E}".inMarkdown
                == "\\*\u{301}a\\_b \\<i\\> \\&\\#x202e; \\[x\\](y) \\`z\\` \\#1 \\| \\\\u\\{202e\\}"
        )
    }

    @Test("What is wrong with a ledger")
    func verify() {
        var report = Verifier.Report(verdict: .broken(at: 3, why: Self.text), entries: 3, tip: nil)
        report.caveat = Self.text
        let check = LedgerCheck(environment: "prod", report: report, failure: nil)
        let said = LedgerCheckRenderer(check: check, console: Shown.plain).lines(inJSON: false)
        expectSafe(said.filter { if case .note = $0 { true } else { false } }, "verify")
    }

    @Test("Teams, agents and tools")
    func registry() {
        let team = Registry.TeamRow(name: "support", members: [Self.text], escalation: Self.text, agents: [])
        let table = Registry(commit: .zero, rows: .teams([team])).table
        expectSafe(table.render(Shown.plain), "teams")
    }
}
