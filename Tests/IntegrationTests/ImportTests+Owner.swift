import EnsignTestSupport
import Foundation
import Testing

/// Who owns what is imported.
extension ImportTests {
    @Test("Without an owner nothing is read, started or asked, and the hint says what to do", arguments: [true, false])
    func nobody(areSeveral: Bool) throws {
        if areSeveral {
            #expect(try ensign(["new", "team", "sales"]).status == 0)
        } else {
            try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet/teams/support.yaml")
        }
        let start = "sh -c 'touch started; sleep 1'"
        try write(#"{"mcpServers": {"t": {"command": "touch", "args": ["started"]}}}"#, "mcp.json")
        for words in [
            ["mcp", "t", "--command", start], ["mcp", "t", "--command", start, "--check"],
            ["mcp", "t", "--url", "http://127.0.0.1:9/"], ["mcp", "t", "--from", "none.json"],
            ["mcp", "--client-config", "mcp.json", "--run"], ["openapi", "t", "none.yaml"], ["langgraph", "none"],
        ] {
            let result = try ensign(["import"] + words)
            #expect(result.status == 64, "\(words): \(result.errors)")
            #expect(result.errors.contains("name the owner with --team"), "\(words): \(result.errors)")
            #expect(
                result.errors.contains(areSeveral ? "  hint: teams: sales, support" : "  hint: '--team NAME' declares"),
                "\(words): \(result.errors)"
            )
        }
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/started"))
    }

    @Test("A team that --team names is declared with what it owns, if it is new, and its members are to be looked at")
    func newOwner() throws {
        try FileManager.default.removeItem(atPath: "\(scratch.path)/fleet")
        let tool = ["import", "mcp", "tracker", "--command", "\(server) modern", "--team", "support"]
        let check = try ensign(tool + ["--check"])
        #expect(check.status == 2 && check.errors.contains("fleet/teams/support.yaml would be new"), "\(check.errors)")
        #expect(!FileManager.default.fileExists(atPath: "\(scratch.path)/fleet/teams"))
        let first = try ensign(tool)
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.errors.contains("[look] team: fleet/teams/support.yaml is new: say who its members are"))
        #expect(try text("fleet/tools/tracker/2.1.1.yaml").contains("owner: support"))
        let again = try ensign(tool)
        #expect(again.status == 0 && !again.errors.contains("fleet/teams"), "\(again.errors)")
        try write("a: {role: R}\nb: {role: R}\n", "agents.yaml")
        let crew = try ensign(["import", "crewai", ".", "--model", "a/b", "--team", "research"])
        #expect(crew.status == 0, "\(crew.errors)")
        #expect(crew.errors.components(separatedBy: "fleet/teams/research.yaml is new").count == 2, "\(crew.errors)")
        #expect(try ensign(["validate"]).status == 0)
    }

    @Test("A team that is nearly one that exists is not quietly made", arguments: ["suport", "Support!"])
    func nearlyOwner(_ team: String) throws {
        let result = try ensign(["import", "mcp", "t", "--from", "none.json", "--team", team])
        #expect(result.status == 64, "\(result.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(scratch.path)/fleet/teams") == ["support.yaml"])
    }
}
