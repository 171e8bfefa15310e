import EnsignTestSupport
import Foundation
import Testing

/// A call is asked about by any name that somebody may have seen for it.
@Suite struct NamedCallTests {
    /// A tool whose server has another name for an operation, and one that shares a name with `crm`.
    private func host() throws -> Host {
        var fleet = FleetFixture()
        fleet.replace("    erase: {", with: "    erase: {mcp: {tool: purge_all}, ", in: FleetFixture.toolPath)
        fleet["fleet/tools/address-book/1.0.0.yaml"] = """
            apiVersion: ensign.dev/v1
            kind: Tool
            spec:
              owner: support
              operations:
                find: {access: read, risk: low}
                getPerson: {access: read, risk: low}

            """
        return try Host(fleet: fleet)
    }

    @Test(
        "Every spelling that means one operation gets the answer of TOOL.OPERATION, from what is live and from manifests"
    )
    func spellings() throws {
        let host = try host()
        for more in [[], ["--rev", "main"]] {
            func check(_ name: String) throws -> CommandResult {
                try host.ensign(arguments: ["check", "support/triage", name, "--env", "prod"] + more)
            }
            let plain = try check("crm.update")
            #expect(plain.status == 0, "\(plain.errors)")
            for name in ["crm__update", "crm_update", "crm/update", "mcp__crm__update", "update", "Update"] {
                let result = try check(name)
                #expect(result.output == plain.output && result.status == plain.status, "\(name): \(result.errors)")
                #expect(result.errors.contains("'\(name)' is crm.update"), "\(result.errors)")
            }
            #expect(!plain.errors.contains(" is crm.update"))
            let refused = try check("crm.erase")
            for name in ["purge_all", "crm__purge_all", "crm.purge_all", "erase"] {
                let result = try check(name)
                #expect(result.output == refused.output && result.status == refused.status, "\(name): \(result.errors)")
            }
            let who = try host.ensign(arguments: ["who-can", "crm.update", "--env", "prod"] + more)
            for name in ["crm__update", "update", "mcp__crm__update"] {
                let result = try host.ensign(arguments: ["who-can", name, "--env", "prod"] + more)
                #expect(result.output == who.output && result.status == 0, "\(name): \(result.errors)")
            }
        }
        let json = try host.ensign("check", "support/triage", "purge_all", "--env", "prod", "-o", "json")
        #expect(
            json.output.contains(#/"operation": ?"erase"/#) && json.output.contains(#/"tool": ?"crm"/#),
            "\(json.output)"
        )
    }

    @Test("A name that several operations have is an error that lists them, never one of them")
    func ambiguous() throws {
        let host = try host()
        let result = try host.ensign("who-can", "find", "--env", "prod")
        #expect(result.status == 64 && result.output.isEmpty)
        #expect(result.errors.contains("'find' may be one of 2 operations"), "\(result.errors)")
        #expect(result.errors.contains("address-book.find, crm.find"), "\(result.errors)")
        // Of an agent that needs one of the tools it means that one, as its gateway takes it.
        let own = try host.ensign("check", "support/triage", "find", "--env", "prod")
        #expect(own.errors.contains("'find' is crm.find"), "\(own.errors)")
        #expect(own.output == (try host.ensign("check", "support/triage", "crm.find", "--env", "prod").output))
    }

    @Test("What means nothing is answered as before, with the nearest name")
    func unknown() throws {
        let host = try host()
        let check = try host.ensign("check", "support/triage", "crm.updat", "--env", "prod")
        #expect(check.status == 4)
        #expect(check.errors.contains("did you mean 'crm.update'?"), "\(check.errors)")
        let bare = try host.ensign("check", "support/triage", "getPersn", "--env", "prod")
        #expect(bare.status == 64)
        #expect(bare.errors.contains("is not TOOL.OPERATION"), "\(bare.errors)")
        #expect(bare.errors.contains("did you mean 'address-book.getPerson'?"), "\(bare.errors)")
        let tool = try host.ensign("who-can", "crn", "--env", "prod")
        #expect(tool.status == 64 && tool.errors.contains("did you mean 'crm'?"), "\(tool.errors)")
        // A tool's own name is the tool, whatever its operations are called.
        #expect(try host.ensign("who-can", "crm", "--env", "prod").output.contains("crm.update"))
    }
}
