import EnsignTestSupport
import Foundation
import Testing

/// Live files that somebody changed by hand.
@Suite struct DriftTests {
    enum Tampering: String, CaseIterable, Sendable {
        case edited, removed, added, truncated, replaced, mode
        case emptied, folderRemoved, folderAdded, linked, header
    }

    @Test(
        "Drift is found, repaired by the next reconcile, and recorded with what was found",
        arguments: Tampering.allCases
    )
    func repaired(_ tampering: Tampering) throws {
        let host = try Host()
        let before = try host.liveFiles()
        let route = "\(host.live())/agents/it/incident-scribe.json"
        let manager = FileManager.default
        var found = tampering.rawValue
        switch tampering {
        case .edited: try Data("{}".utf8).write(to: URL(fileURLWithPath: route))
        case .removed: try manager.removeItem(atPath: route)
        case .added: try host.scratch.write("fleet.git/ensign/live/prod/agents/it/rogue.json", "{}")
        case .truncated:
            try before["agents/it/incident-scribe.json"]?.dropLast(9).write(to: URL(fileURLWithPath: route))
        case .emptied:
            try Data().write(to: URL(fileURLWithPath: route))
            found = "truncated"
        case .replaced:
            try manager.removeItem(atPath: route)
            try manager.createDirectory(atPath: route, withIntermediateDirectories: false)
        case .linked:
            try manager.removeItem(atPath: route)
            try manager.createSymbolicLink(atPath: route, withDestinationPath: "/etc/passwd")
            found = "replaced"
        case .mode: try manager.setAttributes([.posixPermissions: 0o600], ofItemAtPath: route)
        case .folderRemoved:
            try manager.removeItem(atPath: "\(host.live())/agents/it")
            found = "removed"
        case .folderAdded:
            try host.scratch.write("fleet.git/ensign/live/prod/extra/deep/file.txt", "x")
            found = "added"
        case .header:
            try Data("{}".utf8).write(to: URL(fileURLWithPath: "\(host.live())/fleet.json"))
            found = "edited"
        }
        let drift = try host.ensign("drift", "--env", "prod", "--detailed-exitcode")
        #expect(drift.status == 2)
        #expect(drift.output.contains("prod: \(found)"))
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try host.kinds().suffix(3) == ["drift", "intent", "outcome"])
        let changes = try #require(try host.entry()["changes"] as? [[String: Any]])
        #expect(changes.allSatisfy { $0["action"] as? String == "repair" })
        #expect((changes.first?["evidence"] as? [String: Any])?["found"] as? String == found)
        var after = try host.liveFiles()
        after["fleet.json"] = before["fleet.json"]
        #expect(after == before)
        try host.expectSound()
    }

    @Test("What a killed writer left is swept, and is not drift")
    func temporaryFiles() throws {
        let host = try Host()
        try host.scratch.write("fleet.git/ensign/live/prod/agents/it/.ensign-abc", "half")
        #expect(try host.ensign("drift", "--env", "prod", "--detailed-exitcode").status == 0)
        let count = try host.entries().count
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try host.entries().count == count)
        #expect(try host.liveFiles()["agents/it/.ensign-abc"] == nil)
    }

    @Test("A directory with somebody's files is never taken over")
    func foreignDirectory() throws {
        let host = try Host(pushes: false)
        let target = try host.scratch.write("precious/letter.txt", "keep me")
        let folder = (target as NSString).deletingLastPathComponent
        try host.hostGit("config", "ensign.prod.target", "directory:\(folder)")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.errors.contains("is not empty and not a live directory"))
        #expect(try host.scratch.read("precious/letter.txt") == "keep me")
        #expect(try host.ensign("reconcile", "--env", "dev").status == 0)
    }
}
