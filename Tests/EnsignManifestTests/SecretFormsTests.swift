import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignManifest

/// What looks like a secret is refused wherever it stands, and what only looks odd is not.
@Suite("Literal secrets") struct SecretFormsTests {
    private static let random = "Zk3vQ9xT1bLp7Rw2Yd8N"

    @Test(
        "Tokens of well-known services are known anywhere in a text",
        arguments: [
            "ghp_" + String(repeating: "a1B2", count: 9), "github_pat_" + String(repeating: "aB3_", count: 12),
            "glpat-" + random, "sk-ant-" + random, "sk-proj-" + random, "sk-" + random + random,
            "xoxb-123456789012-" + random, "AKIA" + "IOSFODNN7ABCDEFG", "AIza" + String(repeating: "Sy1-", count: 9),
            "sk_live_" + random, "npm_" + random + random, "hf_" + random + random,
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
            "-----BEGIN OPENSSH PRIVATE KEY-----", "postgres://user:hunter2@db/x",
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        ]
    )
    func known(_ token: String) {
        for text in [token, "-e TOKEN=\(token)", "Bearer \(token) "] {
            #expect(SecretForms.known(in: Array(text.utf8)) != nil, "\(text)")
        }
        // A manifest is refused for it, and the finding does not repeat it.
        let found = checkTeam("{members: [ada@example.com], escalation: \"call \(token)\"}")
        #expect(found.contains("[literal-secret]") && !found.contains(token), "\(found)")
    }

    @Test(
        "Digests, UUIDs, names, paths and versions are no secrets",
        arguments: [
            "sha256:" + String(repeating: "0a1b2c3d", count: 8), "d41d8cd98f00b204e9800998ecf8427e",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709", "123e4567-e89b-12d3-a456-426614174000",
            "ghcr.io/example/some-agent@sha256:" + String(repeating: "9f86d081", count: 8),
            "AzureOpenAIEmbeddingDeployment3Large2", "/usr/local/lib/python3.11/site-packages/Package2",
            "mcp-server-everything@2025.7.14", "claude-sonnet-4-5-20250929", "20261128233045123456",
            "thisIsAVeryLongCamelCaseIdentifierName", "aaaaaaaaaaaaaaaaaaaaaaaa1A", "tickets:graph", "ghp_short",
            "projects/example-prod-1/locations/europe-west4/models/text-embedding-005",
            "TransferToHumanAgent2ndLevelV2",
            "postgres://user:${DB_PASSWORD}@db/x", "https://example.com:8443/@scope/pkg",
        ]
    )
    func innocent(_ text: String) {
        #expect(SecretForms.known(in: Array(text.utf8)) == nil)
        #expect(!SecretForms.isRandom(Array(text.utf8)))
    }

    @Test("Most keys made by chance are found", arguments: ["base62", "base36"])
    func byChance(_ alphabet: String) {
        var random = SeededGenerator(for: "random keys \(alphabet)", standard: 7)
        let letters = Array(
            alphabet == "base62"
                ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                : "abcdefghijklmnopqrstuvwxyz0123456789"
        )
        let found = (0..<500).count { _ in
            SecretForms.isRandom(String((0..<32).map { _ in random.pick(letters) }).utf8)
        }
        #expect(found >= 475, "\(found) of 500")
    }

    @Test("Names tell that their value is a secret")
    func names() {
        for name in [
            "API_KEY", "apiKey", "GITHUB_TOKEN", "X-Api-Key", "Authorization", "PGPASSWORD", "client_secret", "--token",
            "GITHUB_PAT", "AUTH", "DB_PASS",
        ] {
            #expect(SecretForms.isTelling(name), "\(name)")
        }
        for name in [
            "SORT_KEY", "KEY", "PATH", "TOKENIZER", "MAX_TOKENS", "SECRETARY", "KEYBOARD", "TOKEN_LIMIT", "EOS_TOKEN",
            "COMPASS", "AUTHOR",
        ] {
            #expect(!SecretForms.isTelling(name), "\(name)")
        }
    }

    private func binding(_ server: String) -> String {
        check(
            FleetFixture.bindingPath,
            "apiVersion: ensign.dev/v1\nkind: Binding\nspec:\n  server:\n    mcp: \(server)\n"
        )
    }

    @Test(
        "Where a server is configured, a literal under a telling name and what is random are refused",
        arguments: [
            "{command: [a, \(random)]}", "{command: [a], env: {API_KEY: abc}}", "{command: [a, --token, abc]}",
            "{command: [a, --api-key=abc]}", "{command: [docker, run, -e, GITHUB_TOKEN=abc, x]}",
            "{command: [a, \"Authorization: Bearer abc\"]}",
            "{url: \"https://a/\", headers: {Authorization: Bearer abc}}",
            "{url: \"https://a/\(random)/mcp\"}", "{command: [a], env: {SOME: \(random)}}",
        ]
    )
    func configured(_ server: String) {
        let found = binding(server)
        #expect(found.contains("error") && found.contains("[literal-secret]"), "\(found)")
    }

    @Test(
        "Variables, references, paths and switches stand for secrets, and are none",
        arguments: [
            "{command: [a], env: {API_KEY: \"${API_KEY}\"}}", "{command: [a], env: {API_KEY: {ref: \"vault:a\"}}}",
            "{command: [a, --token, --verbose]}", "{command: [a], env: {TOKEN_FILE: /run/secrets/a}}",
            "{command: [a, \"--header\", \"Authorization: ${AUTH}\"]}", "{command: [a], env: {MAX_TOKENS: 4000}}",
            "{command: [docker, run, -e, GITHUB_TOKEN, x]}",
        ]
    )
    func placeholders(_ server: String) {
        #expect(binding(server) == "", "\(binding(server))")
    }

    @Test("An exception needs a reason")
    func exceptions() {
        func found(_ comment: String) -> String {
            check(
                FleetFixture.bindingPath,
                "apiVersion: ensign.dev/v1\nkind: Binding\nspec:\n  server:\n    mcp:\n      command: [a]\n      env:\n        API_KEY: abc \(comment)\n"
            )
        }
        #expect(found("").contains("[literal-secret]"))
        #expect(found("# secret-ok:").contains("[literal-secret]"))
        #expect(found("# secret-ok: the public key of the sandbox") == "")
    }

    @Test("An exception hides no other secret, and what a reference names is a place")
    func exceptionsAreNarrow() {
        let (one, two) = ("glpat-" + Self.random, "hf_" + Self.random + Self.random)
        let found = check(FleetFixture.promptPath, "Use \(one). # secret-ok: an example\nUse \(two).\n")
        #expect(found.contains("prompt.md:2:5"), "\(found)")
        for place in ["secret:prod/db", "aws-secret:prod/db", "vault:kv/\(Self.random)"] {
            #expect(binding("{command: [a], env: {A: {ref: \"\(place)\"}}}") == "", "\(place)")
        }
    }

    @Test(
        "Looking for secrets takes time in proportion to the text",
        arguments: ["eyJ.", "SG.", "-----BEGIN ", "://a:", "ghp_"]
    )
    func linear(_ part: String) {
        func spent(_ count: Int) -> Double {
            let text = Array(String(repeating: part, count: count).utf8)
            return seconds { for _ in 0..<3 { _ = SecretForms.known(in: text) } }
        }
        _ = spent(1_000)
        let (short, long) = (spent(4_000), spent(64_000))
        // 16 times the text; a quadratic search takes 256 times as long.
        #expect(long < max(short, 0.001) * 100, "\(part): \(short) and \(long) s")
    }

    @Test("In a released version it is a warning, for the branch may have it; in prompts it is found too")
    func released() {
        let token = "glpat-" + Self.random
        let found = check(FleetFixture.promptPath, "Sort.\nUse \(token).\n")
        #expect(found.contains("prompt.md:2:5: warning") && found.contains("[literal-secret]"), "\(found)")
        #expect(checkRuntime("{kind: \(token)}").contains("warning"))
    }
}
