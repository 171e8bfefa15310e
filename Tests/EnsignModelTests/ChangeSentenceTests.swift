import EnsignModel
import EnsignTestSupport
import Testing

@Suite("A change in words")
struct ChangeSentenceTests {
    private static let desk = AgentID("support/desk")
    private static func side(_ version: String, _ digit: Character) -> Change.Side? {
        guard let version = AgentVersion(version), let digest = Digest(hex: String(repeating: digit, count: 64)) else {
            return nil
        }
        return Change.Side(version: version, digest: digest)
    }
    private static let old = side("1.4.0", "a")
    private static let new = side("1.5.0", "b")

    private func change(
        _ action: Change.Action,
        _ from: Change.Side? = old,
        _ to: Change.Side? = new,
        _ evidence: Evidence? = nil,
        weight: Int64? = nil
    ) -> ChangeSentence {
        ChangeSentence(
            Change(
                agent: Self.desk,
                action: action,
                from: from,
                to: to,
                kind: .behaviour,
                weight: weight.map { Change.Weight(from: 0, to: $0) },
                evidence: evidence
            )
        )
    }

    @Test("Each action has its words, with why")
    func actions() {
        let why = Evidence(reason: "a push")
        #expect(change(.create, nil, Self.new, nil).past == "support/desk created 1.5.0")
        #expect(change(.delete, Self.old, nil, why).past == "support/desk deleted 1.4.0 (a push)")
        let weight = change(.weight, Self.old, Self.new, why, weight: 5)
        #expect(weight.past == "support/desk goes 1.4.0 -> 1.5.0, canary 5 % (a push)")
        #expect(weight.cell == "support/desk canary 5 % 1.4.0 -> 1.5.0 (a push)")
        #expect(weight.planned == "canary 5 %  1.4.0 -> 1.5.0  [behaviour]")
        #expect(weight.subject == "support/desk 1.4.0 -> 1.5.0, canary 5 %")
        let promoted = change(.promote, Self.old, Self.new, why)
        #expect(promoted.past == "support/desk promoted 1.4.0 -> 1.5.0 (a push)")
        #expect(promoted.subject == "support/desk 1.4.0 -> 1.5.0, promote")
        #expect(promoted.decision(quarantines: false) == "promote 1.4.0 -> 1.5.0")
    }

    @Test("The same version with other bytes is named once, and the subject says that it changed")
    func sameVersion() {
        let changed = change(.update, Self.old, Self.side("1.4.0", "c"), nil)
        #expect(changed.past == "support/desk updated 1.4.0")
        #expect(changed.subject == "support/desk 1.4.0, changed")
        #expect(change(.delete, Self.old, nil, nil).subject == "support/desk 1.4.0 removed")
    }

    @Test("A quarantine names what is quarantined; where it ends, that it ends")
    func quarantine() {
        let begins = change(.quarantine, Self.new, Self.old, Evidence(reason: "worse"))
        #expect(begins.past == "support/desk 1.5.0 quarantined (worse)")
        #expect(begins.cell == "support/desk quarantine 1.5.0")
        #expect(begins.decision(quarantines: true) == "quarantine 1.5.0")
        let ends = change(.quarantine, Self.old, Self.old, Evidence(reason: "retry"))
        #expect(ends.past == "support/desk out of quarantine (retry)")
        #expect(ends.cell == "support/desk quarantine ended")
        #expect(ends.decision(quarantines: false) == "quarantine lifted")
    }

    @Test("A repair names the file and what was found, and what came of a file too many")
    func repair() {
        let added = Evidence(repair: Evidence.RepairedFile(path: "a/b.json", found: "added", size: 3))
        #expect(change(.repair, Self.old, Self.old, added).cell == "repair a/b.json (added, now removed)")
        let edited = Evidence(repair: Evidence.RepairedFile(path: "a/b.json", found: "edited", size: 3))
        #expect(change(.repair, Self.old, Self.old, edited).cell == "repair a/b.json (edited)")
    }

    @Test("An agent that acts although it is halted is an alarm in each form")
    func alarm() {
        var evidence = Evidence()
        evidence.activityAfterHalt = Evidence.Activity(what: "it called 'pay'", at: Timestamp(seconds: 0))
        let alarm = change(.halt, Self.old, Self.old, evidence)
        #expect(alarm.past == "support/desk acts although it is halted: it called 'pay'")
        #expect(alarm.recordedStop == alarm.past)
        #expect(alarm.cell == "support/desk acts although halted: it called 'pay'")
        let halt = change(.halt, Self.old, Self.old, Evidence(reason: "it leaks"))
        #expect(halt.recordedStop == "support/desk halted, recorded: it leaks")
    }

    @Test("A long reason is cut in a cell and whole elsewhere")
    func long() {
        let reason = String(repeating: "word ", count: 40)
        let long = change(.rollback, Self.old, Self.new, Evidence(reason: reason))
        #expect(long.past.hasSuffix("(\(reason))"))
        #expect(long.cell.hasSuffix("...)") && long.cell.utf8.count < 120)
    }

    @Test("A stop of everything or of a team says its scope, on one line")
    func scope() {
        let evidence = Evidence(reason: "CRM leaks", fleet: Evidence.FleetStop(scope: "team a\u{202E}b", halts: nil))
        let change = Change(agent: nil, action: .halt, from: nil, to: nil, kind: .none, evidence: evidence)
        #expect(ChangeSentence(change).past == "team a\\u{202e}b halted (CRM leaks)")
        #expect(ChangeSentence(change).recordedStop == "team a\\u{202e}b halted, recorded: CRM leaks")
    }

    @Test("Whatever a reason, a path or an activity is made of, no form of the sentence is unsafe to print")
    func hostile() {
        let text = Hostile.unsafeText
        var alarm = Evidence(reason: text)
        alarm.activityAfterHalt = Evidence.Activity(what: text, at: Timestamp(seconds: 0))
        let repair = Evidence(repair: Evidence.RepairedFile(path: text, found: text, size: nil))
        for evidence in [Evidence(reason: text), alarm, repair] {
            for action in Change.Action.allCases {
                for (from, to) in [(Self.old, Self.new), (Self.old, Self.old), (nil, nil)] {
                    let sentence = change(action, from, to, evidence)
                    for form in [
                        sentence.past, sentence.cell, sentence.planned, sentence.subject, sentence.recordedStop,
                        sentence.decision(quarantines: true),
                    ] {
                        #expect(!form.unicodeScalars.contains(where: DisplayText.isUnsafe), "\(action): \(form)")
                    }
                }
            }
        }
    }
}
