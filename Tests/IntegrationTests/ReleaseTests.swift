import EnsignTestSupport
import Foundation
import Testing

/// A release is whole, in the work tree and in the index, or there is none.
@Suite struct ReleaseTests {
    private static let agent = "support/refund-triage"
    private static let folder = "fleet/agents/\(agent)"

    private func release(_ host: Host) throws -> CommandResult { try host.ensignInWork("release", Self.agent, "9.0.0") }

    private func staged(_ host: Host) throws -> [String] {
        try host.git("diff", "--cached", "--name-only", "--", "\(Self.folder)/9.0.0").split(separator: "\n")
            .map { String($0.split(separator: "/").last ?? "") }.sorted()
    }

    private func files(_ host: Host, _ version: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(host.work)/\(Self.folder)/\(version)").sorted()
    }

    private func exists(_ host: Host) -> Bool { host.scratch.exists("work/\(Self.folder)/9.0.0") }

    @Test("What an interrupted release left behind is in no release; it is swept once it is old, and told until then")
    func leftovers() throws {
        let host = try Host()
        for name in [".ensign-9.0.0", ".ensign-0ld"] {
            try host.scratch.write("work/\(Self.folder)/\(name)/stray.md", "x")
        }
        let old = "\(host.work)/\(Self.folder)/.ensign-0ld"
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -3_700)],
            ofItemAtPath: old
        )
        let validated = try host.ensignInWork("validate")
        #expect(validated.output.contains("remove the folder, and release again"), "\(validated.output)")
        #expect(!validated.output.contains("rename the folder"), "\(validated.output)")
        #expect(try release(host).status == 0)
        #expect(try files(host, "9.0.0") == files(host, "next"))
        #expect(!host.scratch.exists("work/\(Self.folder)/.ensign-0ld"))
        #expect(host.scratch.exists("work/\(Self.folder)/.ensign-9.0.0/stray.md"))
    }

    @Test("What git ignores is staged all the same")
    func ignored() throws {
        let host = try Host()
        try host.scratch.write("work/.gitignore", "*.md\n")
        #expect(try release(host).status == 0)
        #expect(try staged(host) == files(host, "next"))
    }

    @Test("A release that cannot be staged is not there, and says which of git's commands failed")
    func notStaged() throws {
        let host = try Host()
        let lock = try host.scratch.write("work/.git/index.lock", "")
        let failed = try release(host)
        #expect(failed.status == 1 && failed.errors.contains("git add failed: "), "\(failed.errors)")
        #expect(!exists(host))
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(host.work)/\(Self.folder)")
        #expect(!left.contains { $0.hasPrefix(".ensign-") }, "\(left)")
        try FileManager.default.removeItem(atPath: lock)
        #expect(try release(host).status == 0)
        #expect(try staged(host) == files(host, "next"))
    }

    @Test("One that was copied and not staged is staged by the same again; another folder of its name is refused")
    func again() throws {
        let host = try Host()
        let folder = "\(host.work)/\(Self.folder)"
        try FileManager.default.copyItem(atPath: "\(folder)/next", toPath: "\(folder)/9.0.0")
        #expect(try release(host).status == 0)
        #expect(try staged(host) == files(host, "next"))
        #expect(try release(host).status == 4)
        try host.git("rm", "-q", "-r", "--cached", "\(Self.folder)/9.0.0")
        try host.scratch.write("work/\(Self.folder)/9.0.0/prompt.md", "Another one.\n")
        #expect(try release(host).status == 4)
        #expect(try staged(host).isEmpty)
    }

    @Test("A file whose name is not UTF-8 is seen where it lies, and nothing is released without it")
    func strangeName() throws {
        let host = try Host()
        let script =
            "cd '\(host.work)/\(Self.folder)/next' && printf x > $'caf\\xe9.md' && mkdir $'d\\xff' && printf y > $'d\\xff/f'"
        #expect(try run("bash", ["-c", script], in: host.work).status == 0)
        let validated = try host.ensignInWork("validate")
        #expect(validated.status == 3, "\(validated.output)\(validated.errors)")
        #expect(
            validated.output.matches(of: /the name is not UTF-8 \[invalid-name\]/).count == 2,
            "\(validated.output)"
        )
        #expect(try release(host).status == 3)
        #expect(!exists(host))
    }
}
