import EnsignTestSupport
import Foundation
import Testing

/// Completion of `ensign gateway`: what the other program completes.
@Suite struct CompletionTests {
    private func complete(_ program: String, _ words: String..., path: String? = nil) throws -> CommandResult {
        var environment = ["PATH": path ?? "/usr/bin:/bin"]
        environment["HOME"] = "/"
        return try run(program, ["__complete"] + words, in: "/", environment: environment)
    }

    @Test("Words behind 'gateway' are completed as ensign-gateway completes them, for both shells")
    func passedOn() throws {
        let other = Host.ensign + "-gateway"
        for words in [
            ["gateway", ""], ["gateway", "che"], ["-q", "gateway", "verify", "--"], ["gateway", "approvals", ""],
        ] {
            let rest = words.drop { $0 != "gateway" }.dropFirst()
            for shell in ["bash", "zsh"] {
                let mine = try run(Host.ensign, ["__complete", shell] + words, in: "/")
                let theirs = try run(other, ["__complete", shell] + rest, in: "/")
                #expect(mine.status == 0 && mine.output == theirs.output, "\(words): \(mine.output)\(mine.errors)")
                #expect(!theirs.output.isEmpty, "\(words)")
            }
        }
        #expect(
            try run(Host.ensign, ["__complete", "bash", "gateway", "check", "--con"], in: "/").output == "--config\n"
        )
    }

    @Test("Names of the fleet are offered wherever one that is there already is wanted")
    func names() throws {
        let host = try Host(fleet: FleetFixture())
        func words(_ line: [String]) throws -> [String] {
            try run(Host.ensign, ["__complete", "bash"] + line, in: host.work).output.split(separator: "\n").map(
                String.init
            )
        }
        for verb in ["halt", "resume"] { #expect(try words([verb, "--team", ""]) == ["support"]) }
        #expect(try words(["new", "binding", ""]) == ["crm"])
        #expect(try words(["new", "version", "support/t"]) == ["support/triage"])
        #expect(try words(["new", "deployment", "support/t"]) == ["support/triage"])
        #expect(try words(["new", "team", ""]) == [] && words(["new", "tool", ""]) == [])
    }

    @Test("In bash itself, by the script that ensign prints")
    func bash() throws {
        let script = """
            source <('\(Host.ensign)' completion bash)
            COMP_LINE="\(Host.ensign) gateway che"
            COMP_POINT=${#COMP_LINE}
            _ensign
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let result = try run("bash", ["--norc", "-c", script], in: "/")
        #expect(result.output == "check\n", "\(result.output)\(result.errors)")
    }

    @Test(
        "Bash's quotes, backslashes and home folder are read as bash reads them",
        arguments: [
            #"--repo "a dir" --env pr"#, #"--repo 'a dir' --env pr"#, #"--repo a\ dir --env pr"#,
            "--repo ~/dir --env pr",
            #"--repo "a dir" --env "pr"#, #"--repo="a dir" --env 'pr"#, #"--repo "a"\ 'dir' --env pr"#,
        ]
    )
    func quoted(_ words: String) throws {
        let scratch = try ScratchDirectory()
        for folder in ["a dir", "dir"] { try FleetFixture().write(to: folder, in: scratch) }
        try scratch.write("line", "ensign status \(words)")
        let script = """
            source <('\(Host.ensign)' completion bash)
            COMP_LINE="$(cat line)"
            COMP_POINT=${#COMP_LINE}
            _ensign
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let path = (Host.ensign as NSString).deletingLastPathComponent + ":/usr/bin:/bin"
        let environment = ["PATH": path, "HOME": scratch.path]
        let result = try run("bash", ["--norc", "-c", script], in: scratch.path, environment: environment)
        #expect(result.output == "prod\n" && result.errors.isEmpty, "\(words): \(result.output)\(result.errors)")
    }

    @Test("Where ensign-gateway is not installed nothing is offered, and nothing is said")
    func alone() throws {
        let scratch = try ScratchDirectory()
        let copy = "\(scratch.path)/ensign"
        try FileManager.default.copyItem(atPath: Host.ensign, toPath: copy)
        let result = try complete(copy, "bash", "gateway", "che", path: scratch.path)
        #expect(result.status == 0 && result.output.isEmpty && result.errors.isEmpty, "\(result)")
    }
}
