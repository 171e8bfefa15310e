import EnsignGateway
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

/// What a gateway may say of itself.
@Suite struct ClaimTests {
    private let scratch: ScratchDirectory

    init() throws { scratch = try ScratchDirectory() }

    /// A program that so many may run.
    private func program(_ name: String, mode: Int) throws -> String {
        let path = "\(scratch.path)/\(name)"
        try "#!/bin/sh\n".write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    private func file(_ spec: String) throws -> GatewayFile {
        let text = """
            apiVersion: ensign.dev/v1
            kind: Gateway
            spec:
              live: /srv/live
              keys: /etc/keys
              state: /var/state
            \(spec)
            """
        let (file, findings) = GatewayFile.read(Array(text.utf8), path: "gateway.yaml")
        return try #require(file, "\(findings.map(\.message))")
    }

    @Test("Who alone can read the credentials of all servers, with an account of its own, is the sole holder")
    func soleHolder() throws {
        let (server, vault) = (try program("server", mode: 0o755), try program("vault", mode: 0o750))
        let file = try file(
            """
              agents: [{agent: support/triage, uid: 4711}]
              upstreams: {crm: {command: ["\(server)"], references: ["vault:crm"], env: {TOKEN: "{credentials}"}}}
              credentials: {vault: {command: ["\(vault)"]}}
            """
        )
        #expect(Claim(file, account: 990, isStarted: false).kind == .soleHolder)
        let started = Claim(file, account: 990, isStarted: true)
        #expect(started.kind == .local && started.reasons.count == 1)
        let same = Claim(file, account: 4711, isStarted: false)
        #expect(same.kind == .local && same.reasons == ["support/triage has the same account"])
    }

    @Test("What everybody may run, and a server that needs no credentials, each keep it from that claim")
    func local() throws {
        let (server, vault) = (try program("server", mode: 0o755), try program("vault", mode: 0o755))
        let file = try file(
            """
              upstreams:
                crm: {command: ["\(server)"], references: ["vault:crm"], env: {TOKEN: "{credentials}"}}
                maps: {url: "https://maps.example.com/mcp"}
                files: {command: ["\(server)"]}
              credentials: {vault: {command: ["\(vault)"]}}
            """
        )
        let claim = Claim(file, account: 990, isStarted: false)
        #expect(claim.kind == .local)
        #expect(claim.reasons.count == 3, "\(claim.reasons)")
        #expect(claim.sentence.hasPrefix("local: what goes through the gateway is checked and recorded; "))
    }
}
