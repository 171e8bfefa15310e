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

    @Test(
        "A directory in another environment's live directory, or in the place of one, is refused: one would empty the other"
    )
    func nestedDirectory() throws {
        let host = try Host(pushes: false)
        let elsewhere = "\(host.scratch.path)/dev-live"
        try host.hostGit("config", "ensign.dev.target", "directory:\(elsewhere)")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        let link = "\(host.scratch.path)/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: elsewhere)
        let inDefault = "\(host.bare)/ensign/live/dev"
        for folder in [
            "\(elsewhere)/prod", "\(elsewhere)/agents/a/prod", "\(link)/agents", inDefault, "\(inDefault)/x",
        ] {
            try host.hostGit("config", "ensign.prod.target", "directory:\(folder)")
            let result = try host.ensign("reconcile", "--env", "prod")
            #expect(
                result.status == 1 && result.errors.contains("the live directory of 'dev'"),
                "\(folder): \(result.errors)"
            )
            let status = try host.ensign("drift", "--env", "dev", "--detailed-exitcode")
            #expect(status.status == 0, "\(folder): \(status.output)")
        }
        try host.hostGit("config", "ensign.prod.target", "directory:\(host.scratch.path)/prod-live")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        // Its own place, however it is written, and folders beside somebody's file of that name are none of that.
        try host.scratch.write("app/fleet.json", #"{"environment":"production","name":"trucks"}"#)
        let own = "\(host.bare)/ensign/live/prod"
        for folder in ["\(host.scratch.path)/app/prod", "\(host.bare)/ensign/live/../live/prod", own] {
            try host.hostGit("config", "ensign.prod.target", "directory:\(folder)")
            let result = try host.ensign("reconcile", "--env", "prod")
            #expect(result.status == 0, "\(folder): \(result.errors)")
        }
        // One that says that it is this environment's is, wherever it lies.
        let blue = "\(host.bare)/ensign/live/blue"
        try FileManager.default.copyItem(atPath: own, toPath: blue)
        try host.hostGit("config", "ensign.prod.target", "directory:\(blue)")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
    }
}

/// Whatever is in the live directory, nothing outside it is touched and the next reconcile puts it right.
@Suite struct HostileLiveDirectoryTests {
    @Test("A link in place of a folder is replaced; what it leads to stays as it is")
    func linkedFolder() throws {
        let host = try Host()
        let outside = "\(host.scratch.path)/outside"
        for folder in ["agents/support", "agents"] {
            try? FileManager.default.removeItem(atPath: outside)
            try host.scratch.write("outside/support/.ensign-keep/x", "mine")
            try host.scratch.write("outside/.ensign-mine", "mine")
            let before = try FileManager.default.subpathsOfDirectory(atPath: outside).sorted()
            try FileManager.default.removeItem(atPath: "\(host.live())/\(folder)")
            try FileManager.default.createSymbolicLink(
                atPath: "\(host.live())/\(folder)",
                withDestinationPath: outside
            )
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
            #expect(try FileManager.default.subpathsOfDirectory(atPath: outside).sorted() == before, "\(folder)")
            let again = try host.ensign("reconcile", "--env", "prod", "--observe", "all")
            #expect(again.errors.contains("nothing to do"), "\(folder): \(again.output)\(again.errors)")
        }
    }

    @Test("A huge header, a folder with a temporary name, names that are not text, and folders without end are cleared")
    func oddThings() throws {
        let host = try Host()
        let live = host.live()
        let script = """
            set -e
            cd '\(live)'
            truncate -s 100M fleet.json
            mkdir -p agents/support/.ensign-dir && touch agents/support/.ensign-dir/x
            touch "$(printf 'agents/support/\\377\\376')"
            mkdir deep && cd deep
            i=0; while [ $i -lt 60 ]; do n=$(printf 'd%.0s' $(seq 200)); mkdir $n; cd $n; i=$((i+1)); done
            """
        #expect(try run("bash", ["-c", script], in: host.scratch.path).status == 0)
        let repaired = try host.ensign("reconcile", "--env", "prod", "--observe", "all")
        #expect(repaired.status == 0, "\(repaired.output)\(repaired.errors)")
        let again = try host.ensign("reconcile", "--env", "prod", "--observe", "all")
        #expect(again.errors.contains("nothing to do"), "\(again.output)\(again.errors)")
        #expect(try host.ensign("drift", "--env", "prod", "--detailed-exitcode").status == 0)
    }
}
