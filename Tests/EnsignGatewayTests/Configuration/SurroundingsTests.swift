import EnsignCrypto
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Glibc
import Testing

@testable import EnsignGateway

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

    @Test(
        "Whoever may write to a folder above a file could replace it",
        arguments: [
            ("a", 0o777, "warning"), ("a", 0o775, "warning"), ("a/b", 0o777, "warning"), ("a", 0o1777, nil),
            ("a", 0o755, nil),
        ]
            as [(String, UInt32, String?)]
    )
    func folders(_ name: String, _ mode: UInt32, _ severity: String?) throws {
        let machine = try Machine()
        try Files.makeDirectories("\(machine.scratch.path)/a/b", mode: 0o755)
        try machine.scratch.write("a/b/server", "#!/bin/sh\n")
        try machine.mode("a/b/server", 0o755)
        try machine.mode(name, mode)
        let wanted = severity.map { ["10 unsafe-folder \($0)"] } ?? []
        #expect(try machine.findings { $0.replacing("/server]", with: "/a/b/server]") } == wanted)
        // By a link from a folder that is safe, and by one that lies in the folder.
        #expect(unsafe symlink("\(machine.scratch.path)/a/b/server", "\(machine.scratch.path)/link") == 0)
        #expect(try machine.findings { $0.replacing("/server]", with: "/link]") } == wanted)
        #expect(unsafe symlink("\(machine.scratch.path)/server", "\(machine.scratch.path)/a/b/link") == 0)
        #expect(try machine.findings { $0.replacing("/server]", with: "/a/b/link]") } == wanted)
    }

    @Test("Where everybody may listen first, everybody may be taken for the gateway")
    func socketFolder() throws {
        let machine = try Machine()
        try Files.makeDirectories("\(machine.scratch.path)/run", mode: 0o755)
        func found(_ mode: UInt32) throws -> [String] {
            try machine.mode("run", mode)
            return try machine.findings {
                $0.replacing("owner: git", with: "owner: git\n  listen: {socket: \(machine.scratch.path)/run/g.sock}")
            }
        }
        #expect(try found(0o755) == [])
        #expect(try found(0o1777) == ["8 unsafe-folder warning"])
        #expect(try found(0o777) == ["8 unsafe-folder warning"])
    }

    @Test("Keys of the state that others may read are not safe", arguments: ["log.key", "gateway.key"])
    func openKeys(_ name: String) throws {
        let machine = try Machine()
        try machine.scratch.write("state/\(name)", "x")
        try machine.mode("state/\(name)", 0o600)
        #expect(try machine.findings() == [])
        for mode: UInt32 in [0o644, 0o640, 0o602] {
            try machine.mode("state/\(name)", mode)
            #expect(try machine.findings() == ["6 unsafe-file error"])
        }
    }

    @Test("A SHA-256 holds a script and not what runs it, which is said")
    func scripts() throws {
        let machine = try Machine()
        func found(_ text: String) throws -> [String] {
            try machine.scratch.write("server", text)
            try machine.mode("server", 0o755)
            let digest = SHA256.hex(of: Array(text.utf8))
            return try machine.findings { $0.replacing("user: crm", with: "sha256: \(digest)") }
        }
        #expect(try found("#!/bin/sh\n") == ["10 interpreter-not-held warning"])
        #expect(try found("\u{7F}ELF") == [])
        #expect(Surroundings.interpreter(of: Array("#! /usr/bin/env python3\n".utf8)) == "/usr/bin/env")
        #expect(Surroundings.interpreter(of: Array("#!/bin/sh".utf8)) == "/bin/sh")
        #expect(Surroundings.interpreter(of: Array("#!\n".utf8)) == "a shell")
        #expect(Surroundings.interpreter(of: Array("#".utf8)) == nil)
    }

    @Test("A device in place of a program is not read for its SHA-256")
    func device() throws {
        let digest = String(repeating: "a", count: 64)
        #expect(
            try Machine().findings {
                $0.replacing("command: [", with: "command: [/dev/zero, ").replacing(
                    "user: crm",
                    with: "sha256: \(digest)"
                )
            }.contains("10 missing-file error")
        )
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
