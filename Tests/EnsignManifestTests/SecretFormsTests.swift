import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignManifest

/// What looks like a secret is refused wherever it is, and what only looks odd is not.
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
        "Digests, UUIDs, names, paths and versions are not secrets",
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
            #expect(SecretNames.isTelling(name), "\(name)")
        }
        for name in [
            "SORT_KEY", "KEY", "PATH", "TOKENIZER", "MAX_TOKENS", "SECRETARY", "KEYBOARD", "TOKEN_LIMIT", "EOS_TOKEN",
            "COMPASS", "AUTHOR",
        ] {
            #expect(!SecretNames.isTelling(name), "\(name)")
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
            "{command: [a, \"/token:abc\"]}", "{command: [a, token, a1b2c3d4e5]}",
            "{command: [a, API_KEY, a1b2c3d4e5]}",
            "{command: [a, --api-key=abc]}", "{command: [docker, run, -e, GITHUB_TOKEN=abc, x]}",
            "{command: [a, \"Authorization: Bearer abc\"]}",
            "{url: \"https://a/\", headers: {Authorization: Bearer abc}}",
            "{url: \"https://a/mcp?session=abc\"}", "{url: \"https://a/mcp?hmac=abc\"}",
            "{url: \"https://a/\(random)/mcp\"}", "{command: [a], env: {SOME: \(random)}}",
            "{command: [sh, -c, \"export API_KEY=abc; exec a\"]}", "{command: [sh, -c, \"TOKEN='abc' a\"]}",
            "{command: [sh, -c, \"a --token abc\"]}", "{command: [sh, -c, \"A=1 B_SECRET=abc a\"]}",
            "{command: [sh, -c, 'a --header \"X-Api-Key: abc\"']}",
            "{command: [a, \"--header=Authorization: Bearer abc\"]}",
            "{command: [a, \"-HAuthorization: Basic abc\"]}", "{command: [a, --header, \"Authorization:abc\"]}",
            "{command: [java, -Dapi.key=abc, -jar, a]}", "{command: [a, --from-literal=password=abc]}",
            "{command: [a, '{\"apiKey\": \"abc\"}']}", "{command: [a, '{\\\"token\\\":\\\"abc\\\"}']}",
            "{command: [a, '[\"--api-key\", \"abc\"]']}",
            "{command: [python, -c, \"import os; os.environ['API_KEY'] = 'abc'; run()\"]}",
            "{command: [python, -c, 'run(token=\"abc\")']}", "{command: [a, \"${API_KEY:-abc}\"]}",
            "{command: [a, \"https://host/mcp?apiKey=abc\"]}", "{command: [a, \"https://host/?x=1&exaApiKey=abc\"]}",
            "{command: [a, \"https://host/mcp?accessToken=abc&profile=b\"]}",
            "{url: \"https://0123456789abcdef0123456789abcdef@host/mcp\"}",
            "{command: [git, clone, \"https://0123456789abcdef01234567@host/a\"]}",
            // Addresses that clients mend, and addresses in addresses.
            "{url: 'https:\\\\u:hunter2@h/db'}", "{url: 'https:/u:hunter2@h/db'}", "{url: 'https:u:hunter2@h/db'}",
            "{url: 'https:///u:hunter2@h/db'}", "{url: 'HTTPS:/\\u:hunter2@h/db'}", "{url: 'https:u%3Ahunter2%40h'}",
            "{url: 'https://h/?next=https%3A%2F%2Fu%3Ahunter2%40h'}", "{url: 'https://h/?next=https://u:hunter2@h/db'}",
            "{url: 'u:hunter2@h:8080/db'}", "{url: '//u:hunter2@h/db'}", "{url: 'https:/h/db'}",
            "{command: [a, 'https:\\\\u:hunter2@h/db']}", "{command: [a, '--to=http:u:hunter2@h']}",
            "{command: [a], env: {URL: 'https%3A%2F%2Fu%3Ahunter2%40h'}}",
            "{url: \"https://host/mcp?exaApiKey=abc\"}", "{url: \"https://host/mcp?accesskey=abc\"}",
            "{command: [a, \"--user=ada:hunter2\"]}", "{command: [a, --auth-header, Bearer abc]}",
            "{command: [curl, -u, \"ada:hunter2\", a]}",
            "{command: [sh, -c, \"curl --user ada:hunter2 a\"]}",
            "{command: [a, --key, 123e4567-e89b-12d3-a456-426614174000]}", "{command: [a, --pass, hunter2hunter2]}",
            "{command: [a], env: {OPENAI_KEY: hunter2hunter2}}", "{command: [a], env: {PASSWORD: 123456}}",
            "{command: [a], env: {API_KEY: \"{s3cretvalue}\"}}", "{command: [a], env: {API_KEY: \"$s3cret!\"}}",
            "{command: [a], env: {DB: \"Server=db;Uid=a;Pwd=hunter2hunter2;\"}}",
            "{command: [a], env: {S: \"AccountName=a;AccountKey=abc==\"}}",
            "{command: [a, \"//host/:_authToken=abc\"]}",
            "{url: \"https://a/\", headers: {x-functions-key: hunter2hunter2}}",
            // A letter of a program that takes a password with it.
            "{command: [sshpass, -p, hunter2, ssh, host]}", "{command: [/usr/bin/sshpass, -phunter2, ssh, host]}",
            "{command: [mysql, -u, root, -phunter2]}", "{command: [mysql, --password, hunter2]}",
            "{command: [redis-cli, -h, host, -a, hunter2]}", "{command: [docker, login, -u, ada, -p, hunter2]}",
            "{command: [sh, -c, \"a && sshpass -p hunter2 ssh host\"]}", "{command: [curl, \"-uada:hunter2\", a]}",
            // A header in words of its own.
            "{command: [a, Bearer, hunter2]}", "{command: [a, --auth, Bearer, hunter2]}",
            "{command: [a, \"Authorization: Bearer\", hunter2]}", "{command: [a, --header, Authorization, hunter2]}",
            "{command: [a, \"X-Api-Key:\", hunter2]}",
            // A literal that goes on where a reference ends, and what a reference falls back to.
            "{command: [a, --token, \"${T}lit\"]}", "{command: [a, \"--api-key=${KEY}lit\"]}",
            "{command: [a], env: {API_KEY: \"lit${X}\"}}", "{command: [a], env: {API_KEY: \"lit-hunter2-${X}\"}}",
            "{command: [a], env: {API_KEY: \"${env:X:-hunter2}\"}}", "{command: [a], env: {API_KEY: \"{{X}}hunter2\"}}",
            "{url: \"https://a/\", headers: {Authorization: \"Bearer ${T}hunter2\"}}",
            "{command: [a], env: {DB: \"postgres://u:hunter2${X}@h/x\"}}",
            // Another quotation of shells, and of addresses.
            "{command: [sh, -c, \"PASS=$'hunter2hunter2' a\"]}", "{command: [sh, -c, \"PASSWORD=$'hunter2' a\"]}",
            "{command: [a, \"https://host/?api%5Fkey=abc\"]}", "{command: [a, \"https://host/?access%54oken=abc\"]}",
            "{command: [a], env: {URL: \"https://host/?config=%7B%22apiKey%22%3A%22abc%22%7D\"}}",
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
            "{command: [a, --token, --verbose]}", "{command: [a, token, create]}", "{command: [a, /srv/token:80/x]}",
            "{command: [a], env: {TOKEN_FILE: /run/secrets/a}}",
            "{command: [a, \"--header\", \"Authorization: ${AUTH}\"]}", "{command: [a], env: {MAX_TOKENS: 4000}}",
            "{command: [docker, run, -e, GITHUB_TOKEN, x]}",
            "{command: [sh, -c, \"export API_KEY=$(cat /run/key); exec a\"]}",
            "{command: [sh, -c, \"TOKEN=`cat a` b\"]}",
            "{command: [sh, -c, \"TOKEN=$TOKEN KEY=$A$B a --token $TOKEN --verbose\"]}",
            "{command: [a, \"--header=Authorization: Bearer ${AUTH}\"]}",
            "{command: [a, \"https://a/?sort_key=name1234\"]}",
            "{url: 'https://h:8443/@scope/a//b@1.0'}", "{url: '${URL}'}", "{url: '${SCHEME}://h/mcp'}",
            "{url: 'h:8080/mcp'}",
            "{url: 'http://[::1]:80/mcp'}", "{command: [a, 'http: see ada@example.com', 'xhttps:a:b@c']}",
            "{command: [python, -c, \"token = os.environ['TOKEN']; run(token=os.getenv('A'))\"]}",
            "{command: [node, -e, \"const token = process.env.TOKEN; if (token == 'abc') run({token: token})\"]}",
            "{command: [a, '{\"token\": null, \"apiKey\": \"\"}']}",
            "{command: [a, \"${API_KEY:-}\", \"${env:API_KEY}\"]}",
            "{command: [a, --max-tokens=4000, --key, ./key.pem, --auth, oauth]}",
            "{command: [a, -v, \"/run/secret:/data\"]}",
            "{command: [a], env: {KEY: name, CACHE_KEY: users2024v1, SORT_KEY: created_at_1, COUNT_TOKENS: 5000}}",
            "{command: [a], env: {TOKEN: \"<your token>\", SECRET: \"{name}\", PASS: \"%PASS%\", AUTH: mtls}}",
            "{command: [docker, run, -u, \"1000:1000\", --user, \"nobody:nogroup\", --user=app:app, a]}",
            "{command: [a, Basic auth]}", "{command: [a, \"-u\", \"ada:$PASSWORD\"]}",
            "{command: [a, \"a sentence that has a token: it says more\"]}",
            "{command: [a, \"sha256:abc\", \"user:group\"]}",
            "{command: [sshpass, -e, ssh, -p, '22x', host]}", "{command: [sshpass, -p, $PASS, ssh, host]}",
            "{command: [mysql, -p, db]}", "{command: [docker, run, -p, 'host:80:80', a]}",
            "{command: [npx, -p, \"@scope/pkg@1.2.3\", run]}", "{command: [mkdir, -p, abc12345]}",
            "{command: [a, --auth-type, bearer, run]}", "{command: [a, --auth-type, Bearer, run]}",
            "{command: [a, --auth, bearer, --port, '80x']}", "{command: [a, \"Authorization: Bearer\", \"${T}\"]}",
            "{command: [a], env: {COOKIE: \"session=${S}; x=${Y}\", TOKEN: \"${input:github_token}\"}}",
            "{command: [a, --api-key, \"${KEY_PREFIX}${KEY}\", --token, \"{{ vault.token }}\"]}",
            "{command: [a], env: {DB: \"postgresql://u:${PW}@h/x\", AUTHORIZATION: \"Token ${X}\"}}",
            "{command: [sh, -c, \"API_KEY=${API_KEY:?not set} exec a\"]}", "{command: [a, \"https://a/?q=a%20b%3Dc\"]}",
            "{command: [uvx, --from, \"mcp-atlassian==0.11.9\", mcp-atlassian]}",
            "{command: [docker, run, -i, --rm, -e, DATABASE_URI, crystaldba/postgres-mcp, --access-mode=restricted]}",
        ]
    )
    func placeholders(_ server: String) {
        #expect(binding(server) == "", "\(binding(server))")
    }

    private func agent(_ more: String) -> String {
        check(
            "fleet/agents/support/triage/next/agent.yaml",
            "apiVersion: ensign.dev/v1\nkind: Agent\nspec:\n  description: Sorts.\n\(more)"
        )
    }

    @Test(
        "What is handed on to a model, a runtime and a run is configuration, too",
        arguments: [
            "  model: {provider: a, name: b, parameters: {api_key: abc}}\n",
            "  model: {provider: a, name: b, parameters: {extra_headers: {Authorization: Bearer abc}}}\n",
            "  model: {provider: a, name: b, fallbacks: [{provider: a, name: c, parameters: {apiKey: abc}}]}\n",
            "  model: {provider: a, name: b}\n  triggers: [{cron: '0 7 * * *', input: {token: abc}}]\n",
            "  model: {provider: a, name: b}\n  runtime: {env: [{name: API_KEY, value: abc}]}\n",
            "  model: {provider: a, name: b}\n  runtime: {password: {value: abc}}\n",
            "  model: {provider: a, name: b}\n  runtime: {apiKeys: [a1b2c3d4e5]}\n",
            "  model: {provider: a, name: b, parameters: {api_key: {default: abc}}}\n",
            "  model: {provider: a, name: b}\n  runtime: {token: {ref: hunter2SECRETabc123}}\n",
            "  model: {provider: a, name: b}\n  runtime: {token: {ref: hunter2}}\n",
            "  model: {provider: a, name: b}\n  runtime: {token: {ref: hunter2SECRETabc12345, at: x}, b: {ref: Zk3vQ9xT1bLp7Rw2Yd8N, c: d}}\n",
            "  model: {provider: a, name: b}\n  runtime: {hmac: a1b2c3d4e5}\n",
            "  model: {provider: a, name: b, parameters: {base_url: \"https://h/?api%5Fkey=abc\"}}\n",
            "  model: {provider: a, name: b, parameters: {default_headers: {x: \"Bearer ${T}abc\"}}}\n",
        ]
    )
    func handedOn(_ more: String) {
        let found = agent(more)
        #expect(found.contains("[literal-secret]"), "\(found)")
    }

    @Test("Names of secrets and numbers of tokens are none")
    func named() {
        let more =
            "  model: {provider: a, name: b, parameters: {max_tokens: 4000, stop_token: end, logit_bias: {a: 1}}}\n"
            + "  runtime: {token: {ref: 'vault:a/b'}, checkout: {ref: main, repository: x}, secrets: [db-password], env: [{name: A_TOKEN, valueFrom: {secretKeyRef: {name: a, key: b}}}]}\n"
        #expect(!agent(more).contains("literal-secret"), "\(agent(more))")
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
        arguments: ["eyJ.", "SG.", "-----BEGIN ", "://a:", "ghp_", "ws:", "https:u:"]
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

    @Test(
        "Looking for what is given takes time in proportion to the text",
        arguments: [
            "token=$", "token:", "--token ", "   ", "\"", "a_token = \\\"${", "sshpass -p ", "token=${A:-", "%5F", "{{",
        ]
    )
    func linearAssignments(_ part: String) {
        func spent(_ count: Int) -> Double {
            let text = Array(String(repeating: part, count: count).utf8)
            return seconds { _ = LiteralSecrets.assigned(in: text[...]) }
        }
        _ = spent(100)
        let (short, long) = (spent(2_000), spent(32_000))
        #expect(long < max(short, 0.005) * 60, "\(part): \(short) and \(long) s")
    }

    @Test(
        "A message for people has no secret in it, and the rest of it as it was",
        arguments: [
            (
                "the server says 'ghp_\(String(repeating: "a1B2", count: 9))' (was 'x')",
                "the server says '***' (was 'x')"
            ),
            ("cannot reach https://ada:hunter2@host/v1, 3 times", "cannot reach ***, 3 times"),
            ("GET https://host/v1?api_key=hunter2&x=1 failed", "GET https://host/v1?api_key=***&x=1 failed"),
            ("run: a --token hunter2 --port 80", "run: a --token *** --port 80"),
            ("password=hunter2, password=hunter3", "password=***, password=***"),
            ("no such tool: lookup (token is missing)", "no such tool: lookup (token is missing)"),
            ("input: amount: maximum 100 (was not limited)", "input: amount: maximum 100 (was not limited)"),
            ("", ""),
        ]
    )
    func hidden(_ text: String, _ shown: String) {
        #expect(LiteralSecrets.hidden(text) == shown)
    }

    @Test("In a released version it is a warning, for the branch may have it; in prompts it is found too")
    func released() {
        let token = "glpat-" + Self.random
        let found = check(FleetFixture.promptPath, "Sort.\nUse \(token).\n")
        #expect(found.contains("prompt.md:2:5: warning") && found.contains("[literal-secret]"), "\(found)")
        #expect(checkRuntime("{kind: \(token)}").contains("warning"))
    }
}
