import EnsignCrypto
import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignReconciler
import EnsignTestSupport
import Foundation
import Testing

/// A rotation that dies goes on where it stopped, and nothing is signed by the wrong key meanwhile.
@Suite("Handing over to another key")
struct KeyRotationTests {
    /// Where a killed rotation stopped.
    enum Death: String, CaseIterable, Sendable {
        case keyAlone, keyWithoutPublicHalf, tornKey, entry, oldKeyMoved, newKeyInPlace
    }

    private func rotate(_ fleet: TestFleet) throws -> RecordedEntry {
        let actor = Entry.Actor(mode: .cli, name: "ada", host: "here", version: TestFleet.version)
        return try KeyRotation(site: fleet.site(), environment: "prod", actor: actor)
            .run(now: Timestamp(seconds: 1_800_000_000))
    }

    private func keyInUse(_ fleet: TestFleet) throws -> String? {
        try LedgerKey.load("prod", path: fleet.site().files.key("prod"))?.publicKey.line
    }

    @Test("It goes on where it stopped, whatever was done, and reconcile says so", arguments: Death.allCases)
    func dies(_ death: Death) throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        let path = try fleet.site().files.key("prod")
        let (next, files) = (path + ".next", FileManager.default)
        let first = try #require(try keyInUse(fleet))
        var handed: RecordedEntry?
        switch death {
        case .keyAlone, .keyWithoutPublicHalf:
            _ = try LedgerKey.create("prod", path: next)
            if death == .keyWithoutPublicHalf { try files.removeItem(atPath: next + ".pub") }
        case .tornKey: try Data().write(to: URL(fileURLWithPath: next))
        case .entry, .oldKeyMoved:
            let entry = try rotate(fleet)
            handed = entry
            let former = "\(path).before-\(entry.entry.sequence)"
            try files.moveItem(atPath: path, toPath: next)
            if death == .entry { try files.moveItem(atPath: former, toPath: path) }
        case .newKeyInPlace:
            let entry = try rotate(fleet)
            handed = entry
            try files.moveItem(atPath: path + ".pub", toPath: next + ".pub")
        }
        let isInterrupted = death == .entry || death == .oldKeyMoved
        let tip = try #require(try fleet.tip()).commit
        if isInterrupted {
            #expect(throws: ReconcileError.rotationInterrupted(environment: "prod")) {
                try fleet.deploy(fleet)
            }
            #expect(try fleet.tip()?.commit == tip)
            #expect(try rotate(fleet).commit == handed?.commit)
        } else {
            #expect(try rotate(fleet).entry.kind == .key)
        }
        let key = try #require(try keyInUse(fleet))
        let listed = try fleet.tip()?.entry.keys
        #expect(key != first && listed == [key])
        #expect(try String(contentsOfFile: path + ".pub", encoding: .utf8) == "\(key) ensign-prod\n")
        let names = try files.contentsOfDirectory(atPath: try fleet.site().files.root + "/keys")
        #expect(!names.contains { $0.contains("next") || $0.hasPrefix(".") }, "\(names)")
        try fleet.deploy(fleet)
        #expect(try fleet.tip()?.commit != tip)
        #expect(try Verifier(fleet.site().ledger("prod")).run().verdict == .intact)
    }

    @Test("The key that hands over is kept under a name that says until when it signed")
    func former() throws {
        let fleet = try TestFleet()
        try fleet.reconcile()
        let first = try #require(try keyInUse(fleet))
        let entry = try rotate(fleet)
        let former = "\(try fleet.site().files.key("prod")).before-\(entry.entry.sequence)"
        #expect(try LedgerKey.load("prod", path: former)?.publicKey.line == first)
        #expect(try String(contentsOfFile: former + ".pub", encoding: .utf8) == "\(first) ensign-prod\n")
    }
}

extension TestFleet {
    /// Brings another version.
    fileprivate func deploy(_ fleet: TestFleet) throws {
        fleet.deploy("support/triage", "1.\(Int.random(in: 1...2)).0", ["find"], 100)
        fleet.environment(rollout: "{immediate: {}}", share: Double.random(in: 0.1...0.9))
        try fleet.commit("another version")
        try fleet.reconcile()
    }
}
