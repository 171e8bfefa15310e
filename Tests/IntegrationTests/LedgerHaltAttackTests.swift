import EnsignTestSupport
import Foundation
import Testing

/// `halt` has no intent, and `resume` is one: what a thief of the key could hide behind either, `verify` names.
@Suite struct LedgerHaltAttackTests {
    /// Something done to the newest entry of a ledger, and the words that name it.
    struct Attack: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var why: String
        /// Makes the commit for the ref.
        var forge: @Sendable (LedgerCopy, _ tip: String) throws -> String

        init(_ name: String, _ why: String, _ forge: @escaping @Sendable (LedgerCopy, String) throws -> String) {
            testDescription = name
            self.why = why
            self.forge = forge
        }
    }

    private static let route = "agents/support/desk.json"
    private static let state = "state/support/desk.json"

    /// The ledger's newest entry is 5: the halt of `support/desk`.
    static let halts = [
        Attack("the agent is said to be halted, and its route stays", "\(route) is not what the entry says") {
            ledger,
            tip in
            let running = try ledger.git("show", "\(tip)~1:\(route)") + "\n"
            return try ledger.forged(tip, files: [route: running])
        },
        Attack("the halt is not remembered", "\(state) is not what the entry says") { ledger, tip in
            try ledger.forged(tip, files: [state: nil])
        },
        Attack("another agent's route goes with it", "agents/support/triage.json changed") { ledger, tip in
            try ledger.forged(tip, files: ["agents/support/triage.json": nil])
        },
        Attack("a bundle comes with it", "a halt must not change bundles") { ledger, tip in
            let text = "{}\n"
            let digest = try ledger.sha256(text)
            return try ledger.forged(tip, files: ["bundles/\(digest.prefix(2))/\(digest.dropFirst(2)).json": text])
        },
        Attack("it updates instead of halting", "a halt does more than stop agents") { ledger, tip in
            try ledger.forged(tip, entry: { $0.replacing(#""action":"halt""#, with: #""action":"update""#) }) {
                $0.replacing("halt\n", with: "changed\n")
            }
        },
        Attack("it deploys another version on the way", "a halt does more than stop agents") { ledger, tip in
            try ledger.forged(
                tip,
                entry: { text in
                    // The side to which the change leads comes last but one: the state before it has its own.
                    guard let to = text.range(of: #""to":{"digest":"sha256:"#) else { return text }
                    let digits = to.upperBound..<text.index(to.upperBound, offsetBy: 64)
                    return text.replacingCharacters(in: digits, with: String(repeating: "0", count: 64))
                }
            )
        },
        Attack("it lets the agent run", "a halt leaves support/desk running") { ledger, tip in
            let entry = try ledger.git("show", "\(tip):entry.json")
            let halted = try #require(entry.firstMatch(of: /"operator":(\{[^}]*\})/))
            return try ledger.forged(
                tip,
                entry: { $0.replacing("\"operator\":\(halted.1)", with: "\"operator\":null") },
                files: [state: nil, route: try ledger.git("show", "\(tip)~1:\(route)") + "\n"]
            )
        },
        Attack("it counts an agent less", "it counts 1 live agents") { ledger, tip in
            try ledger.forged(tip, entry: { $0.replacing(#""agents":2"#, with: #""agents":1"#) })
        },
        Attack("it accepts another source commit", "it changes the accepted source") { ledger, tip in
            let source = try ledger.git("rev-parse", "\(tip)^2")
            let other = try ledger.git("rev-parse", "\(source)~1")
            return try ledger.forged(tip, header: { $0.replacing("parent \(source)", with: "parent \(other)") })
        },
        Attack("it is between an intent and its outcome", "it is between an intent and its outcome") {
            ledger,
            tip in
            // Entry 4, the outcome, is taken out: the halt follows the intent.
            let (intent, outcome) = (ledger.entries[3], ledger.entries[4])
            let before = try ledger.sha256(try ledger.git("show", "\(outcome):entry.json") + "\n")
            let after = try ledger.sha256(try ledger.git("show", "\(intent):entry.json") + "\n")
            return try ledger.forged(
                tip,
                entry: {
                    $0.replacing(outcome, with: intent).replacing(before, with: after)
                        .replacing("\"seq\":5", with: "\"seq\":4")
                },
                header: { $0.replacing(outcome, with: intent).replacing("Ensign-Seq: 5", with: "Ensign-Seq: 4") }
            )
        },
    ]

    /// The ledger's newest entries are 6 and 7: `resume`, and its outcome.
    static let resumptions = [
        Attack("the outcome resumes another agent than the resume asked for", "its changes are not those of the intent")
        {
            ledger,
            tip in
            try ledger.forged(
                tip,
                entry: { $0.replacing("support/desk", with: "support/triage") },
                header: { $0.replacing("support/desk", with: "support/triage") }
            )
        },
        Attack("the agent stays halted although it was resumed", "\(route) is not what the entry says") { ledger, tip in
            try ledger.forged(tip, files: [route: try ledger.git("show", "\(tip)~1:\(route)") + "\n"])
        },
        Attack("the halt stays on record although it was resumed", "\(state) is not what the entry says") {
            ledger,
            tip in
            try ledger.forged(tip, files: [state: try ledger.git("show", "\(tip)~1:\(state)") + "\n"])
        },
        Attack("the resume itself changes the live state", "a resume must not change the recorded state") {
            ledger,
            tip in
            let resume = try ledger.git("rev-parse", "\(tip)^1")
            return try ledger.forged(resume, files: [route: try ledger.git("show", "\(tip):\(route)") + "\n"])
        },
        Attack("the outcome follows no intent", "there is no intent before it") { ledger, tip in
            // The resume is taken out: its outcome follows the halt.
            let resume = try ledger.git("rev-parse", "\(tip)^1")
            let halt = try ledger.git("rev-parse", "\(resume)^1")
            let before = try ledger.sha256(try ledger.git("show", "\(resume):entry.json") + "\n")
            let after = try ledger.sha256(try ledger.git("show", "\(halt):entry.json") + "\n")
            return try ledger.forged(
                tip,
                entry: {
                    $0.replacing(resume, with: halt).replacing(before, with: after)
                        .replacing("\"seq\":7", with: "\"seq\":6")
                },
                header: { $0.replacing(resume, with: halt).replacing("Ensign-Seq: 7", with: "Ensign-Seq: 6") }
            )
        },
    ]

    /// A ledger that ends in a halt, or in a resume and its outcome. The branch asks for nothing new.
    private func ledger(resumed: Bool) throws -> (LedgerCopy, tip: String) {
        let ledger = try LedgerCopy()
        try ledger.git("update-ref", "refs/heads/main", "\(ledger.tip)^2")
        let halt = try ledger.ensign("halt", "support/desk", "--env", "prod", "--reason", "it writes to strangers")
        try #require(halt.status == 0, "\(halt.errors)")
        if resumed {
            let resume = try ledger.ensign("resume", "support/desk", "--env", "prod", "--reason", "mended")
            try #require(resume.status == 0, "\(resume.errors)")
        }
        let tip = try ledger.pointsAt()
        try #require(try ledger.git("rev-list", "--count", "--first-parent", tip) == (resumed ? "8" : "6"))
        try #require(try ledger.verify() == (0, "intact"))
        return (ledger, tip)
    }

    private func check(_ attack: Attack, resumed: Bool) throws {
        let (ledger, tip) = try ledger(resumed: resumed)
        let forged = try attack.forge(ledger, tip)
        try #require(forged != tip)
        try ledger.point(at: forged)
        // What a host that was set up anew would check: this clone's own mark would say "forked" at once.
        try? FileManager.default.removeItem(atPath: "\(ledger.bare)/ensign/high-water/prod")
        let verify = try ledger.ensign("verify", "--env", "prod")
        #expect(verify.status == 5, "\(verify.output)")
        #expect(verify.output.contains("broken at"), "\(verify.output)")
        #expect(verify.errors.contains(attack.why), "\(verify.errors)")
    }

    @Test("A forged halt is broken, and said why", arguments: halts)
    func halt(_ attack: Attack) throws { try check(attack, resumed: false) }

    @Test("A forged resume is broken, and said why", arguments: resumptions)
    func resume(_ attack: Attack) throws { try check(attack, resumed: true) }

    @Test("A stranger's halt is not believed: verify says broken, and reconcile stops with 5 before anything changes")
    func strangersHalt() throws {
        let (ledger, tip) = try ledger(resumed: false)
        let live = try ledger.read("ensign/live/prod/\(Self.route)")
        try ledger.point(at: try ledger.forged(tip, key: try ledger.strangersKey()))
        try? FileManager.default.removeItem(atPath: "\(ledger.bare)/ensign/high-water/prod")
        #expect(try ledger.verify() == (5, "broken at 5"))
        #expect(try ledger.ensign("reconcile", "--env", "prod").status == 5)
        #expect(try ledger.read("ensign/live/prod/\(Self.route)") == live)
    }
}
