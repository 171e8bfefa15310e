import EnsignTestSupport
import Foundation
import Testing

/// A secret that somebody wrote into a manifest is found, and no output repeats it.
@Suite struct SecretTests {
    @Test(
        "A literal secret is masked, whatever is beside it",
        arguments: [
            "credentials: {ref: hunter2secret}", "credentials: {reff: x:y, ref: hunter2secret, oops: 1}",
            "credentials: hunter2secret", "credentials: {password: hunter2secret}",
            "credentials: {ref: 'hunter2secret'",
            "credentials: [hunter2secret]", "credentials: {hunter2secret: x}",
            "credentials:\n    ref: {a: hunter2secret}",
            "credentials:\n    - ref: hunter2secret", "credentials:\n  - hunter2secret", "password: hunter2secret",
            "\tcredentials: hunter2secret", "apiKey: 'hunter2secret'", "credentials: {\n    hunter2secret}",
            "server: {mcp: {url: 'https://user:hunter2secret@host/'}}",
            "server: {mcp: {url: 'https://host/mcp?api_token=hunter2secret'}}",
            "{server: {mcp: {url: 'https://a-long-name:and-a-password@host/'}}, credentials: hunter2secret}",
            "server: {mcp: {command: [x, --password, [hunter2secret]]}}",
            "server: {mcp: {command: [x, --api-token, {a: hunter2secret}]}}",
            "server: {mcp: {command: [x, --password,\n      [hunter2secret]]}}",
            "server:\n    mcp:\n      command:\n      - x\n      - --password\n      - [hunter2secret]",
            "server: {mcp: {command: [x, '--Client-Secret', [hunter2secret, y]]}}",
            "server: {mcp: {command: [x\u{10}, \r --password, [hunter2secret, y]]}}",
            "credentials:\n    ref: hunter2secret", "credentials: {ref: |\n    hunter2secret\n  }",
        ],
        ["text", "json"]
    )
    func masked(_ text: String, _ format: String) throws {
        var fleet = FleetFixture()
        fleet[FleetFixture.bindingPath] = "apiVersion: ensign.dev/v1\nkind: Binding\nspec:\n  \(text)\n"
        let scratch = try ScratchDirectory()
        try fleet.write(to: "fleet", in: scratch)
        let result = try run(Host.ensign, ["validate", "fleet", "--output", format], in: scratch.path)
        #expect(result.status == 3)
        let said = result.output + result.errors
        #expect(!said.contains("hunter2"), "\(said)")
        let isPlain = ["ref: hunter2secret}", "ref: hunter2secret", "credentials: hunter2secret", "url:"].contains {
            text.hasSuffix($0) || text.contains("url:")
        }
        if isPlain, !text.contains("\t"), !text.contains("- ref") {
            #expect(said.contains("literal-secret"), "\(said)")
            #expect(said.contains("move it to your secret store"), "\(said)")
        }
    }

    @Test("Neither a push that is refused nor the record repeats it")
    func hooks() throws {
        let host = try Host(fleet: FleetFixture())
        try FileManager.default.removeItem(atPath: "\(host.work)/.git/hooks")
        let push = try host.push(FleetFixture.bindingPath, "vault:crm-prod", "hunter2secret")
        #expect(push.status != 0)
        #expect(push.errors.contains("literal-secret") && !push.errors.contains("hunter2"), "\(push.errors)")
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        let second = try host.tryGit("push", "-q", "origin", "main")
        #expect(second.status == 0)
        #expect(!second.errors.contains("hunter2"), "\(second.errors)")
        #expect(try host.entry()["kind"] as? String == "refused")
        let said = try ["log", "status"].map { verb in
            try host.ensign(verb, "--env", "prod").output
                + host.ensign(verb, "--env", "prod", "--output", "json").output
        }
        #expect(!said.joined().contains("hunter2"))
    }

    @Test(
        "A value of another form that holds a secret is not repeated, nor is the value of a setting",
        arguments: ["text", "json", "sarif"]
    )
    func otherForms(_ format: String) throws {
        let host = try Host(fleet: FleetFixture())
        for value in ["https://u:hunter2secret@h", "ghp_\(String(repeating: "a1B2", count: 9))"] {
            try host.edit(FleetFixture.environmentPath, "spec:\n", "spec:\n  trustDomain: \(value)\n")
            let result = try host.ensignInWork("validate", "--output", format)
            let said = result.output + result.errors
            #expect(result.status == 3 && said.contains("is not a trust domain"), "\(said)")
            #expect(!said.contains("hunter2") && !said.contains("ghp_"), "\(said)")
            try host.git("checkout", "-q", "--", FleetFixture.environmentPath)
        }
        let target = "ensign.prod.target=etcd://u:hunter2secret@h/x?token=hunter2secret"
        for words in [
            ["reconcile", "--env", "prod"], ["status"], ["status", "-o", "json"], ["drift", "--env", "prod"],
        ] {
            let result = try host.ensign(arguments: ["-c", target] + words)
            #expect(!(result.output + result.errors).contains("hunter2"), "\(words): \(result)")
            #expect((result.output + result.errors).contains("etcd://h/x"), "\(words): \(result)")
        }
    }

    // MARK: The forge's address

    private static let verbs = [
        ["reconcile", "--env", "prod"], ["reconcile", "--env", "prod", "-o", "json"], ["status"],
        ["status", "-o", "json"],
        ["init"], ["plan", "--env", "prod"], ["notify", "--env", "prod"],
    ]

    @Test(
        "An address in place of a remote's name is refused, and none of it that may be secret is shown",
        arguments: ["https://u:hunter2@127.0.0.1:1/x", "https://127.0.0.1:1/x?access_token=hunter2"]
    )
    func addressAsRemote(_ address: String) throws {
        let host = try Host(fleet: FleetFixture())
        try host.hostGit("config", "ensign.remote", address)
        for verb in Self.verbs {
            let answer = try host.ensign(arguments: verb)
            let said = answer.output + answer.errors
            #expect(!said.contains("hunter2"), "\(verb): \(said)")
            guard verb[0] != "notify" else { continue }
            #expect(answer.status == 1, "\(verb): \(said)")
            #expect(said.contains("git config ensign.remote: 'https://127.0.0.1:1/x"), "\(verb): \(said)")
            #expect(said.contains("is not the name of a remote"), "\(verb): \(said)")
        }
    }

    @Test(
        "Nor is what git says of the address of a remote",
        arguments: ["u:hunter2@127.0.0.1:1/x", "127.0.0.1:1/x?a=hunter2"]
    )
    func remoteAddress(_ rest: String) throws {
        let host = try Host(fleet: FleetFixture())
        let told = "\(host.scratch.path)/told"
        for (key, value) in [
            ("remote.o.url", "https://\(rest)"), ("ensign.remote", "o"), ("ensign.notify", "cat >> '\(told)'"),
        ] {
            try host.hostGit("config", key, value)
        }
        var said = ""
        for verb in Self.verbs + Self.verbs {
            let answer = try host.ensign(arguments: verb)
            said += answer.output + answer.errors
        }
        for path in ["\(host.bare)/ensign/forge/branch.fetch", told] {
            let kept = try String(contentsOfFile: path, encoding: .utf8)
            #expect(kept.contains("127.0.0.1"), "\(kept)")
            said += kept
        }
        #expect(!said.contains("hunter2"), "\(said)")
    }
}
