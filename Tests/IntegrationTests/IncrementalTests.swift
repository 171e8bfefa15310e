import EnsignTestSupport
import Foundation
import Testing

/// A push after a valid one pays for what it changes, and misses nothing that a check of everything would find.
@Suite struct IncrementalTests {
    private struct Break {
        var path: String
        var from: String
        var to: String
        var code: String
    }

    private let deployment = "environments/prod/agents/support/refund-triage.yaml"

    @Test("Whatever kind of file a push breaks, it is refused as by a check of the whole fleet")
    func refused() throws {
        let host = try Host()
        let remembered = "\(host.bare)/ensign/cache/valid"
        let breaks = [
            Break(path: deployment, from: "version: 1.4.0", to: "version: 9.9.9", code: "unknown-version"),
            Break(path: "fleet/roles/crm-reader.yaml", from: "tool: crm", to: "tool: crn", code: "unknown-tool"),
            Break(path: "fleet/teams/support.yaml", from: "members:", to: "menbers:", code: "unknown-field"),
            Break(
                path: "environments/prod/environment.yaml",
                from: "promotesFrom: staging",
                to: "promotesFrom: stagin",
                code: "unknown-environment"
            ),
            Break(
                path: "fleet/agents/support/refund-triage/next/agent.yaml",
                from: "instructions: prompt.md",
                to: "instructions: promt.md",
                code: "missing-file"
            ),
            Break(
                path: "fleet/agents/support/knowledge-answers/next/agent.yaml",
                from: "kind: Agent",
                to: "kind: Agnt",
                code: "invalid-value"
            ),
        ]
        for item in breaks {
            #expect(FileManager.default.fileExists(atPath: remembered))
            let quick = try host.push(item.path, item.from, item.to)
            #expect(quick.status != 0)
            #expect(quick.errors.contains("[\(item.code)]"), "\(item.path): \(quick.errors)")
            try FileManager.default.removeItem(atPath: remembered)
            let whole = try host.tryGit("push", "-q", "origin", "main")
            #expect(errors(quick.errors) == errors(whole.errors))
            try host.git("reset", "-q", "--hard", "HEAD~1")
            // A valid push makes the cache anew.
            #expect(try host.push("fleet/roles/crm-reader.yaml", "kind: Role", "kind: Role ").status == 0)
        }
    }

    @Test("Removing what others need is refused")
    func removals() throws {
        let host = try Host()
        try host.git("rm", "-q", "fleet/roles/crm-reader.yaml")
        try host.git("commit", "-q", "-m", "No role")
        #expect(try host.tryGit("push", "-q", "origin", "main").errors.contains("[unknown-role]"))
        try host.git("reset", "-q", "--hard", "HEAD~1")
        try host.git("rm", "-q", "environments/prod/agents/support/knowledge-answers.yaml")
        try host.git("commit", "-q", "-m", "Nobody to hand work to")
        let push = try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        #expect(push.status != 0)
        #expect(push.errors.contains("knowledge-answers"))
    }

    private func errors(_ text: String) -> [String] {
        text.split(separator: "\n").map(String.init).filter { $0.contains(": error: ") }
    }
}
