import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignReconciler

@Suite("The commit of a rollback branch")
struct RollbackCommitTests {
    private func message(_ reason: String, verdict: String? = nil) -> String {
        let (wanted, stable) = (compiled(bundle("support/desk", "1.5.0")), compiled(bundle("support/desk", "1.4.0")))
        let commit = RollbackCommit(
            environment: "prod",
            agent: agent("support/desk"),
            wanted: wanted.side,
            stable: stable.side,
            reason: reason,
            verdict: verdict,
            entry: nil
        )
        return commit.message(reverts: nil, branch: "ensign/rollback/prod/support/desk", desired: "main")
    }

    @Test("A reason stays in its line: it ends no paragraph and makes no trailer of its own")
    func line() {
        let text = message("worse\n\nEnsign-Rollback: prod sales/lead")
        #expect(text.contains("quarantined in prod: worse\\u{a}\\u{a}Ensign-Rollback: prod sales/lead.\n"))
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("Ensign-Rollback: ") }.count == 1)
    }

    @Test("Whatever reason and verdict are made of, the message is safe to print and bounded")
    func hostile() {
        for text in [Hostile.unsafeText, Hostile.letter, String(repeating: "\u{202E}", count: 10_000)] {
            let message = message(text, verdict: text)
            #expect(!message.unicodeScalars.contains { DisplayText.isUnsafe($0) && $0 != "\n" })
            #expect(message.utf8.count < 3_000)
        }
    }
}
