import EnsignGateway
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Testing

@Suite("What the operator's file depends on")
struct SurroundingsTests {
    /// A machine on which everything is as it should be, and the file that says so.
    private final class Machine {
        let scratch: ScratchDirectory
        var user = ""

        init() throws {
            scratch = try ScratchDirectory()
            for name in ["live", "state", "spans"] {
                try Files.makeDirectories("\(scratch.path)/\(name)", mode: 0o700)
            }
            let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDaJbzxhUEybq1CG+PbhACGJ2YD4hKlJLOZAybQnNrkE"
            try scratch.write("keys", "prod@ensign.invalid namespaces=\"ensign-live\" \(key)\n")
            try scratch.write("server", "#!/bin/sh\n")
            try mode("server", 0o755)
            try mode("keys", 0o644)
        }

        func mode(_ name: String, _ mode: UInt32) throws {
            #expect(unsafe Glibc.chmod("\(scratch.path)/\(name)", mode) == 0)
        }

        func findings(_ change: (String) -> String = { $0 }, account: UInt32 = geteuid(), sandbox: String? = "/bwrap")
            throws -> [String]
        {
            let text = """
                apiVersion: ensign.dev/v1
                kind: Gateway
                spec:
                  live: \(scratch.path)/live
                  keys: \(scratch.path)/keys
                  state: \(scratch.path)/state
                  owner: git
                  usage: \(scratch.path)/spans
                  upstreams:
                    crm: {command: [\(scratch.path)/server], user: crm, sandbox: {read: [\(scratch.path)/live]}}

                """
            let path = try scratch.write("gateway.yaml", change(text))
            let file = try #require(GatewayFile.read(Array(change(text).utf8), path: path).file)
            let surroundings = Surroundings(
                account: account,
                number: { ["git": geteuid(), "crm": account][$0] },
                sandbox: sandbox
            )
            return surroundings.findings(of: file).map { "\($0.position.line) \($0.code) \($0.severity.rawValue)" }
        }
    }

    @Test("Where everything is there and in the right hands, nothing is found")
    func clean() throws {
        #expect(try Machine().findings() == [])
    }

    @Test("What is not there is found where the file names it")
    func missing() throws {
        let machine = try Machine()
        for name in ["keys", "server"] { try Files.remove("\(machine.scratch.path)/\(name)") }
        for name in ["live", "spans"] { #expect(unsafe rmdir("\(machine.scratch.path)/\(name)") == 0) }
        let found = try machine.findings()
        #expect(found.contains("4 missing-file error") && found.contains("5 missing-file error"))
        #expect(found.contains("8 missing-file warning"), "a folder of spans may come later")
        #expect(found.contains("10 missing-file error"))
    }

    @Test(
        "What others may change, or look into, is not safe",
        arguments: [
            ("keys", 0o666, 5), ("server", 0o777, 10), ("state", 0o755, 6), ("gateway.yaml", 0o666, 1),
        ]
    )
    func open(_ name: String, _ mode: UInt32, _ line: Int) throws {
        let machine = try Machine()
        _ = try machine.findings()
        try machine.mode(name, mode)
        #expect(try machine.findings() == ["\(line) unsafe-file error"])
    }

    @Test("Accounts must be there, and only root runs a program as another one")
    func accounts() throws {
        let machine = try Machine()
        #expect(
            try machine.findings { $0.replacing("owner: git", with: "owner: nobody-here") } == ["7 no-account error"]
        )
        #expect(
            try machine.findings { $0.replacing("user: crm", with: "user: nobody-here") } == ["10 no-account error"]
        )
        #expect(try machine.findings { $0.replacing("user: crm", with: "user: git") }.isEmpty)
    }

    @Test("A program has the SHA-256 that is named, or is not run; keys are keys; a sandbox needs bubblewrap")
    func programs() throws {
        let machine = try Machine()
        let digest = String(repeating: "a", count: 64)
        #expect(
            try machine.findings { $0.replacing("user: crm", with: "sha256: \(digest)") } == ["10 wrong-program error"]
        )
        #expect(try machine.findings(sandbox: nil) == ["10 no-sandbox error"])
        try machine.scratch.write("keys", "no key at all\n")
        #expect(try machine.findings().contains("5 bad-keys error"))
    }
}
