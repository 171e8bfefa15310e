import EnsignTestSupport
import Foundation
import Testing

/// What is in the work tree already, and in the branch.
extension ImportTests {
    @Test("A released version is never edited, whatever is checked out", arguments: [true, false])
    func released(hasBranch: Bool) throws {
        try write(#"{"tools": [{"name": "a", "inputSchema": {}}]}"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        try commit()
        #expect(try run("git", ["checkout", "-q", "--detach"], in: scratch.path).status == 0)
        if !hasBranch { #expect(try run("git", ["branch", "-q", "-D", "main"], in: scratch.path).status == 0) }
        try write(#"{"tools": [{"name": "b", "inputSchema": {}}]}"#, "tools.json")
        let result = try ensign(["import", "mcp", "t", "--from", "tools.json"])
        #expect(result.output.contains("fleet/tools/t/0.2.0.yaml: updated"), "\(result.output)\(result.errors)")
        #expect(
            try run("git", ["status", "--porcelain", "fleet"], in: scratch.path).output
                == "?? fleet/tools/t/0.2.0.yaml\n"
        )
    }

    @Test("The number of a released version is taken, also where the version was deleted here")
    func deleted() throws {
        func imported(_ tool: String, _ version: String) throws -> CommandResult {
            try write(
                #"{"serverInfo": {"version": "\#(version)"}, "tools": [{"name": "\#(tool)", "inputSchema": {}}]}"#,
                "tools.json"
            )
            return try ensign(["import", "mcp", "t", "--from", "tools.json"])
        }
        for (tool, version) in [("a", "1.0.0"), ("b", "1.1.0")] {
            #expect(try imported(tool, version).status == 0)
            try commit()
        }
        // The newest one, then all of them.
        for file in ["1.1.0", "1.0.0"] {
            try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet/tools/t/\(file).yaml")
            let result = try imported("c", "1.0.0")
            #expect(result.output.contains("fleet/tools/t/1.2.0.yaml: "), "\(result.output)\(result.errors)")
            #expect(result.errors.contains("1.1.0 is released and not here"), "\(result.errors)")
            try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet/tools/t/1.2.0.yaml")
        }
        #expect(try imported("c", "3.0.0").output.contains("fleet/tools/t/3.0.0.yaml: created"))
        // It is nobody's yet, and goes on.
        #expect(try imported("d", "3.0.0").output.contains("fleet/tools/t/3.0.0.yaml: updated"))
    }

    @Test("What a killed import left behind is taken away by the next one, and what one at work has is not")
    func leftovers() throws {
        try write(#"[{"name": "a", "inputSchema": {}}]"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        let old = Date(timeIntervalSinceNow: -120)
        for (name, date) in [(".ensign-3k9", old), (".ensign-young1", Date()), (".ensign-Not.Ours", old)] {
            let path = "\(scratch.path)/fleet/tools/t/\(name)"
            try "x".write(toFile: path, atomically: false, encoding: .utf8)
            try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        }
        try write(#"[{"name": "b", "inputSchema": {}}]"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/fleet/tools/t").sorted()
        #expect(left == [".ensign-Not.Ours", ".ensign-young1", "0.1.0.yaml"])
    }

    @Test("What a person has written wrong in a manifest is said with its place in that file")
    func continued() throws {
        try write(#"[{"name": "a", "inputSchema": {}}]"#, "tools.json")
        #expect(try ensign(["import", "mcp", "t", "--from", "tools.json"]).status == 0)
        let path = "fleet/tools/t/0.1.0.yaml"
        try write(try text(path).replacing("  owner: support\n", with: "  owner: support\n  ownr: x\n"), path)
        try write(#"[{"name": "0", "inputSchema": {}}, {"name": "a", "inputSchema": {}}]"#, "tools.json")
        let result = try ensign(["import", "mcp", "t", "--from", "tools.json"])
        #expect(result.status == 3 && result.errors.contains("[left-out] \(path):6:3: "), "\(result.errors)")
    }

    @Test("Nothing is written behind a symbolic link, nor into a bare repository, and both are said")
    func places() throws {
        try write(#"[{"name":"a","description":"A","inputSchema":{"type":"object"}}]"#, "all.json")
        try FileManager.default.createDirectory(atPath: "\(scratch.path)/outside", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(
            atPath: "\(scratch.path)/fleet/tools",
            withIntermediateDirectories: true
        )
        try FileManager.default.createSymbolicLink(
            atPath: "\(scratch.path)/fleet/tools/t",
            withDestinationPath: "../../outside"
        )
        let linked = try ensign(["import", "mcp", "t", "--from", "all.json"])
        #expect(linked.status == 1 && linked.errors.contains("fleet/tools/t is a symbolic link"), "\(linked)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/outside") == [])
        try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet/tools/t")
        try commit()
        #expect(try run("git", ["clone", "-q", "--bare", ".", "host.git"], in: scratch.path).status == 0)
        for words in [["import", "mcp", "t", "--from", "all.json"], ["new", "team", "other"]] {
            let bare = try ensign(words + ["--repo", "host.git"])
            #expect(bare.status == 64 && bare.errors.contains("bare repository"), "\(bare)")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/host.git/fleet"))
    }
}
