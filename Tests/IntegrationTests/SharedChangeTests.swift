import EnsignTestSupport
import Foundation
import Testing

/// A change of something that agents share compiles those that use it: no fewer than a check of everything would.
@Suite struct SharedChangeTests {
    private static let other = "environments/prod/agents/ops/helper.yaml"

    /// The small fleet with an agent of another team, which uses the role and the tool too.
    private func host() throws -> Host {
        var fleet = FleetFixture()
        fleet["fleet/teams/ops.yaml"] = fleet[FleetFixture.teamPath]
        fleet["fleet/agents/ops/helper/1.0.0/prompt.md"] = "Help.\n"
        fleet["fleet/agents/ops/helper/1.0.0/agent.yaml"] = """
            apiVersion: ensign.dev/v1
            kind: Agent
            spec:
              description: Helps.
              model: {provider: anthropic, name: claude-haiku-4-5}
              instructions: prompt.md
              needs: {tools: [{tool: crm, version: 1.0.0, operations: [find]}]}

            """
        fleet[Self.other] = """
            apiVersion: ensign.dev/v1
            kind: Deployment
            spec: {version: 1.0.0, roles: [reader]}

            """
        let host = try Host(fleet: fleet, pushes: false)
        try host.hostGit("config", "ensign.environments", "prod")
        try host.git("push", "-q", "origin", "main")
        return host
    }

    private func uses(_ host: Host) -> String { "\(host.bare)/ensign/cache/prod/uses" }

    /// The routes of the host, and those that a host makes which has never seen anything before.
    private func expectComplete(_ host: Host, _ what: String, sourceLocation: SourceLocation = #_sourceLocation) throws
    {
        let fresh = "\(host.scratch.path)/fresh-\(UUID().uuidString)"
        let steps: [(String, [String])] = [
            ("git", ["clone", "-q", "--bare", host.bare, fresh]), (Host.ensign, ["init", "--repo", fresh]),
            (Host.ensign, ["reconcile", "--env", "prod", "--repo", fresh]),
        ]
        for (program, arguments) in steps {
            let result = try run(program, arguments, in: host.scratch.path)
            try #require(result.status == 0, "\(arguments): \(result.errors)", sourceLocation: sourceLocation)
        }
        // Another host has another key, and other entries.
        let script =
            #"find . -name '*.json' | sort | while read -r f; do echo "$f"; sed 's/,"proof":{[^}]*}//' "$f"; done"#
        let routes = try ["\(fresh)/ensign/live/prod/agents", "\(host.live())/agents"].map {
            try run("sh", ["-c", script], in: $0).output
        }
        #expect(routes[0] == routes[1] && !routes[0].isEmpty, "\(what)", sourceLocation: sourceLocation)
    }

    @Test("Roles, bindings, teams and removals reach everyone who uses them, whatever the cache holds")
    func complete() throws {
        let host = try host()
        let changes: [(path: String, old: String, new: String, changed: Int)] = [
            (FleetFixture.bindingPath, "vault:crm-prod", "vault:crm-prod-2", 2),
            (FleetFixture.rolePath, "operations: [find]", "operations: [find], approval: manager", 2),
            // Of no agent: who may agree stands in policy.json.
            ("fleet/teams/ops.yaml", "members: [", "members: [cy@example.com, ", 1),
            // Uses the role no longer, so that the next change of the role is not its own.
            (Self.other, "roles: [reader]", "grants: [{tool: crm, operations: [find]}]", 1),
            (FleetFixture.rolePath, "approval: manager", "approval: dual", 1),
            (FleetFixture.bindingPath, "vault:crm-prod-2", "vault:crm-prod-3", 2),
        ]
        for damage in [false, true] {
            for change in damage ? changes.reversed() : changes {
                let (old, new) = damage ? (change.new, change.old) : (change.old, change.new)
                if damage {
                    try "1\nops none\n helper\nsup".write(toFile: uses(host), atomically: true, encoding: .utf8)
                }
                let before = try host.entries().count
                let push = try host.push(change.path, old, new)
                try #require(push.status == 0, "\(push.errors)")
                try expectComplete(host, "\(change.path): \(old) -> \(new)")
                let entries = try host.entries().count - before
                guard !damage else { continue }
                #expect(entries == 2, "\(change.path)")
                let changes = try #require(try host.entry()["changes"] as? [Any])
                #expect(changes.count == change.changed, "\(change.path): \(new)")
            }
        }
        try host.expectSound()
    }

    @Test("A shared part that breaks what uses it stops the reconcile, also when no hook has looked")
    func broken() throws {
        let host = try host()
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        let breaks: [(path: String, old: String, new: String, code: String)] = [
            (FleetFixture.rolePath, "operations: [find]", "operations: [fond]", "unknown-operation"),
            (FleetFixture.bindingPath, "vault:crm-prod", "hunter2", "literal-secret"),
            ("fleet/teams/ops.yaml", "members:", "menbers:", "unknown-field"),
            ("fleet/tools/crm/1.0.0.yaml", "erase:", "eraze:", "unknown-operation"),
        ]
        // Once for the cache to be there.
        try #require(try host.push(FleetFixture.bindingPath, "crm-prod", "crm-live").status == 0)
        try #require(try host.push(FleetFixture.bindingPath, "crm-live", "crm-prod").status == 0)
        for item in breaks {
            try #require(FileManager.default.fileExists(atPath: uses(host)))
            let live = try host.liveFiles()
            _ = try host.push(item.path, item.old, item.new)
            let reconcile = try host.ensign("reconcile", "--env", "prod")
            #expect(reconcile.status == 3, "\(item.path): \(reconcile.output)\(reconcile.errors)")
            #expect(reconcile.errors.contains("[\(item.code)]"), "\(item.path): \(reconcile.errors)")
            #expect(try host.liveFiles() == live)
            try host.git("revert", "--no-edit", "HEAD")
            #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
            #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        }
        // An agent that others hand work to goes away.
        try host.git("rm", "-q", "environments/prod/agents/support/desk.yaml")
        try host.git("commit", "-q", "-m", "Nobody to hand work to")
        _ = try host.tryGit("push", "-q", "origin", "main")
        let reconcile = try host.ensign("reconcile", "--env", "prod")
        #expect(reconcile.status == 3, "\(reconcile.output)\(reconcile.errors)")
        #expect(reconcile.errors.contains("support/desk"), "\(reconcile.errors)")
    }
}
