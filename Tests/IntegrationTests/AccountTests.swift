import EnsignTestSupport
import Foundation
import Testing

/// Who may read what Ensign writes, and what those are told who may not.
@Suite struct AccountTests {
    @Test(
        "What is written into a work tree has the modes that the umask leaves, as git's files have",
        arguments: [("077", 0o600, 0o700), ("002", 0o664, 0o775)]
    )
    func umask(_ umask: String, _ file: Int, _ folder: Int) throws {
        let host = try Host(fleet: FleetFixture())
        let tools = #"{"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}"#
        let listing = try host.scratch.write("tools.json", tools)
        for words in ["new agent sales/greeter", "import mcp other --team support --from \(listing)"] {
            let result = try run("sh", ["-c", "umask \(umask); '\(Host.ensign)' \(words)"], in: host.work)
            #expect(result.status == 0 || result.status == 3, "\(words): \(result.errors)")
        }
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: "\(host.work)/\(path)")[.posixPermissions] as? Int
        }
        for path in [
            "fleet/teams/sales.yaml", "fleet/agents/sales/greeter/next/agent.yaml", "fleet/tools/other/0.1.0.yaml",
        ] {
            #expect(try mode(path) == file, "\(path)")
        }
        for path in ["fleet/agents/sales", "fleet/agents/sales/greeter/next", "fleet/tools/other"] {
            #expect(try mode(path) == folder, "\(path)")
        }
        // What others read, and what nobody else may, is not the umask's to decide.
        let result = try run("sh", ["-c", "umask \(umask); '\(Host.ensign)' reconcile --env dev"], in: host.bare)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try mode("../fleet.git/ensign/live/dev") == 0o755 && mode("../fleet.git/ensign/keys/dev") == 0o600)
    }

    @Test("Another account that is trusted may ask whose keys count, and verify, without seeing private ones")
    func another() throws {
        guard geteuid() == 0 else { return }
        let host = try Host(fleet: FleetFixture())
        let global = try host.scratch.write(".gitconfig", "[safe]\n\tdirectory = \(host.bare)\n")
        #expect(try host.ensign("keys", "--env", "prod", "--prepare").status == 0)
        _ = try run("chmod", ["a+rX", host.scratch.path], in: "/")
        for words in [["keys", "--env", "prod"], ["keys"], ["verify"], ["verify", "--env", "prod"]] {
            let own = try host.ensign(arguments: words)
            let result = try run(
                "setpriv",
                ["--reuid=65534", "--clear-groups", Host.ensign] + words,
                in: host.bare,
                environment: ["GIT_CONFIG_GLOBAL": global, "HOME": host.scratch.path]
            )
            #expect(result.status == 0, "\(words): \(result.errors)")
            let lines = own.output.split(separator: "\n").filter { !$0.contains("namespaces=\"ensign-live\"") }
            #expect(result.output.split(separator: "\n") == lines, "\(words): \(result.output)")
            let isTold = result.errors.contains("prod: whether a key is prepared is for the repository's owner to see")
            #expect(isTold == (words[0] == "keys"), "\(words): \(result.errors)")
        }
    }

    @Test("The pre-commit hook looks at the repository that it is called for")
    func named() throws {
        let host = try Host(fleet: FleetFixture())
        try host.edit(FleetFixture.bindingPath, "ref: \"vault:crm-prod\"", "reff: \"vault:crm-prod\"")
        try host.git("add", "-A")
        let here = try host.ensignInWork("hook", "pre-commit")
        #expect(here.status == 3, "\(here.errors)")
        let there = try run(Host.ensign, ["hook", "pre-commit", "--repo", host.work], in: "/")
        #expect(there.status == here.status && there.errors == here.errors, "\(there.errors)")
    }
}
