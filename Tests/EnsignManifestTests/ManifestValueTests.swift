import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Values in a manifest")
struct ManifestValueTests {
    @Test("A value of another type is refused, and the finding says what it is")
    func wrongType() {
        #expect(
            checkTeam("{members: ①ada@example.com}") == """
                ①: error: members must be a list, and this is text [wrong-type]
                  hint: write it as [a, b] or as lines that start with '- '
                """
        )
        #expect(
            checkTeam("{members: [①{a: b}], escalation: ②[x]}") == """
                ①: error: an element of members must be a line of text, and this is a mapping [wrong-type]
                ②: error: escalation must be a line of text, and this is a list [wrong-type]
                """
        )
        #expect(
            checkTeam("①text") == """
                ①: error: spec must be a mapping, and this is text [wrong-type]
                  hint: its fields: members, escalation, limits
                """
        )
        #expect(
            check(FleetFixture.agentPath, "steps: 8", "steps: ①\"8\"") == """
                \(FleetFixture.agentPath):①: error: steps must be a whole number, and this is text [wrong-type]
                  hint: remove the quotes
                """
        )
        #expect(
            check(FleetFixture.agentPath, "steps: 8", "steps: ①8.5")
                == "\(FleetFixture.agentPath):①: error: steps must be a whole number [wrong-type]"
        )
        #expect(
            check(FleetFixture.toolPath, "idempotent: true", "idempotent: ①\"true\"")
                == "\(FleetFixture.toolPath):①: error: idempotent must be true or false, and this is text [wrong-type]"
        )
    }

    @Test("A field without a value is refused")
    func missingValue() {
        #expect(
            check(
                FleetFixture.teamPath,
                "apiVersion: ensign.dev/v1\nkind: Team\nspec:\n  members: []\n  escalation:①\n"
            )
            .contains(
                """
                escalation has no value [missing-value]
                  hint: write a line of text, or remove the field
                """
            )
        )
        #expect(checkTeam("{members: [], escalation: ①null}").contains("①: error: escalation has no value"))
        #expect(checkTeam("①null").contains("①: error: spec must be a mapping, and this is nothing [wrong-type]"))
    }

    @Test("Numbers have ranges, lists and maps have sizes")
    func ranges() {
        #expect(
            check(FleetFixture.agentPath, "steps: 8", "steps: ①0")
                == "\(FleetFixture.agentPath):①: error: steps must be from 1 to 1000000000 [out-of-range]"
        )
        #expect(
            check(FleetFixture.agentPath, "costUSD: 0.5", "costUSD: ①-0.5")
                == "\(FleetFixture.agentPath):①: error: costUSD must be from 0 to 1000000000 [out-of-range]"
        )
        #expect(
            check(FleetFixture.environmentPath, "keepFor: 7d", "maxPruneShare: ①1.5")
                == "\(FleetFixture.environmentPath):①: error: maxPruneShare must be from 0 to 1 [out-of-range]"
        )
        #expect(
            check(FleetFixture.rolePath, "[{tool: crm, operations: [find]}]", "①[]")
                .hasPrefix("\(FleetFixture.rolePath):①: error: grants must not be empty [too-few]")
        )
        #expect(
            check(
                FleetFixture.toolPath,
                "apiVersion: ensign.dev/v1\nkind: Tool\nspec: {owner: support, operations: ①{}}\n"
            )
            .contains("\(FleetFixture.toolPath):①: error: operations must not be empty [too-few]")
        )
        let members = (0...500).map { "m\($0)" }.joined(separator: ", ")
        #expect(
            checkTeam("{members: ①[\(members)]}")
                == "①: error: members has more than 500 elements [too-many]"
        )
        let labels = (0...64).map { "l\($0): x" }.joined(separator: ", ")
        #expect(
            check(FleetFixture.agentPath, "{domain: tickets}", "①{\(labels)}")
                == "\(FleetFixture.agentPath):①: error: labels has more than 64 entries [too-many]"
        )
        #expect(
            checkTeam("{members: [], escalation: ①\(String(repeating: "x", count: 257))}")
                == "①: error: escalation is longer than 256 bytes [too-long]"
        )
        #expect(
            checkTeam("{members: [], escalation: ①\"\"}") == "①: error: escalation: must not be empty [invalid-value]"
        )
        #expect(
            checkTeam("{members: [], escalation: ①\"a\\nb\"}")
                == "①: error: escalation: must be one line [invalid-value]"
        )
    }

    @Test("Words that are listed are suggested")
    func listedWords() {
        #expect(
            check(FleetFixture.toolPath, "access: write", "access: ①wirte") == """
                \(FleetFixture.toolPath):①: error: access: 'wirte' is not one of read, write, execute [invalid-value]
                  hint: did you mean 'write'?
                """
        )
        #expect(
            check(FleetFixture.deploymentPath, "roles: [reader]", "roles: [reader]\n  autonomy: ①low_risk") == """
                \(FleetFixture.deploymentPath):①: error: autonomy: 'low_risk' is not one of draft, approve, low-risk, full [invalid-value]
                  hint: did you mean 'low-risk'?
                """
        )
    }

    @Test("Exactly one of the ways to reach a server, or to roll out, is set")
    func choices() {
        #expect(
            check(FleetFixture.bindingPath, "{url: \"https://crm.example.com/mcp\"}", "①{url: x, command: [y]}")
                == "\(FleetFixture.bindingPath):①: error: mcp must have exactly one of: command, url [not-one-of]"
        )
        #expect(
            check(FleetFixture.bindingPath, "{mcp: {url: \"https://crm.example.com/mcp\"}}", "①{}")
                == "\(FleetFixture.bindingPath):①: error: server must have exactly one of: mcp [not-one-of]"
        )
        #expect(
            check(FleetFixture.environmentPath, "keepFor: 7d", "rollout: ①{}")
                == "\(FleetFixture.environmentPath):①: error: rollout must have exactly one of: immediate, canary [not-one-of]"
        )
    }

    @Test("metadata repeats what the path says, or is refused")
    func identity() {
        let metadata = "metadata: {labels: {domain: tickets}}"
        #expect(check(FleetFixture.agentPath, metadata, "metadata: {name: triage, version: 1.0.0}") == "")
        #expect(
            check(FleetFixture.agentPath, metadata, "metadata: {name: ①tirage, version: ②1.0.1}") == """
                \(FleetFixture.agentPath):①: error: metadata.name is 'tirage', and the path says 'triage' [wrong-identity]
                  hint: write triage, or remove the field
                \(FleetFixture.agentPath):②: error: metadata.version is '1.0.1', and the path says '1.0.0' [wrong-identity]
                  hint: write 1.0.0, or remove the field
                """
        )
        #expect(
            check(FleetFixture.teamPath, "kind: Team", "kind: Team\nmetadata: {version: ①1.0.0}")
                == "\(FleetFixture.teamPath):①: error: metadata.version has no place here: the path names nothing [wrong-identity]"
        )
        #expect(
            check(FleetFixture.pricesPath, "kind: Prices", "kind: Prices\nmetadata: {name: ①prices}")
                == "\(FleetFixture.pricesPath):①: error: metadata.name has no place here: the path names nothing [wrong-identity]"
        )
        for (path, name) in [
            (FleetFixture.toolPath, "crm"), (FleetFixture.rolePath, "reader"), (FleetFixture.deploymentPath, "triage"),
            (FleetFixture.environmentPath, "prod"), (FleetFixture.bindingPath, "crm"),
            (FleetFixture.teamPath, "support"),
        ] {
            let kind =
                path == FleetFixture.toolPath
                ? "metadata: {name: \(name), version: 1.0.0}" : "metadata: {name: \(name)}"
            #expect(check(path, "apiVersion: ensign.dev/v1\n", "apiVersion: ensign.dev/v1\n\(kind)\n") == "", "\(path)")
        }
    }

    @Test("Labels are text, whatever they look like")
    func labels() throws {
        #expect(
            check(
                FleetFixture.agentPath,
                "{domain: tickets}",
                "{a: yes, b: 1.10, c: true, d: ~, e: 2026-01-01, f: null}"
            )
                == ""
        )
        var fixture = FleetFixture()
        fixture.replace(
            "{domain: tickets}",
            with: "{a: yes, b: 1.10, c: true, d: ~, no: null, e: }",
            in: FleetFixture.agentPath
        )
        #expect(
            try fixture.compile()?.bundle.labels
                == ["a": "yes", "b": "1.10", "c": "true", "d": "~", "no": "null", "e": ""]
        )
    }

    @Test("Versions are SemVer text")
    func versions() {
        for text in ["1.10", "1", "v1.2.3", "01.2.3", "1.2.3.4", "latest", "1.2.3-", "\"1.10\""] {
            let written = text.replacing("\"", with: "")
            #expect(
                check(FleetFixture.agentPath, "{tool: crm, version: 1.0.0, ", "{tool: crm, version: ①\(text), ")
                    .hasPrefix(
                        "\(FleetFixture.agentPath):①: error: version: '\(written)' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0 [invalid-version]"
                    ),
                "\(text)"
            )
        }
        #expect(
            check(FleetFixture.deploymentPath, "version: 1.0.0", "version: ①1.10").hasPrefix(
                "\(FleetFixture.deploymentPath):①: error: version: '1.10' is not SemVer: write MAJOR.MINOR.PATCH, such as 1.4.0, or next [invalid-version]"
            )
        )
    }

    @Test("Durations are a whole number and a unit")
    func durations() {
        for text in ["5", "1.5h", "5 m", "5min", "-5s", "P1D", "999999999999999d", "1h30m", "٣s"] {
            #expect(
                check(FleetFixture.environmentPath, "keepFor: 7d", "keepFor: ①\(text)")
                    == "\(FleetFixture.environmentPath):①: error: keepFor: '\(text)' is not a duration: write a whole number and ms, s, m, h or d [invalid-duration]",
                "\(text)"
            )
        }
        for text in ["0s", "250ms", "90m", "36525d"] {
            #expect(check(FleetFixture.environmentPath, "keepFor: 7d", "keepFor: \(text)") == "", "\(text)")
        }
    }

    @Test("Dates exist")
    func dates() {
        for text in ["2027-02-29", "2027-13-01", "27-01-01", "2027-1-1", "30.06.2027", "never", "2027-06-30T00:00:00Z"]
        {
            #expect(
                check(FleetFixture.deploymentPath, "expires: 2027-06-30", "expires: ①\(text)")
                    == "\(FleetFixture.deploymentPath):①: error: expires: '\(text)' is not a date: write YYYY-MM-DD [invalid-value]",
                "\(text)"
            )
        }
    }

    @Test("A literal secret is refused where credentials stand")
    func secrets() {
        for text in [
            "sk-ant-api03-abcdef", "\"\"", "hunter2", "\":x\"", "\"vault:\"", "\"vault: x\"", "\"Vault:x\"",
            "\"9vault:x\"",
        ] {
            #expect(
                check(FleetFixture.toolPath, "{ref: \"vault:crm\"}", "{ref: ①\(text)}")
                    == "\(FleetFixture.toolPath):①: error: ref: this is not a reference like 'vault:payments': a literal secret is never accepted [literal-secret]\n  hint: move it to your secret store, name its place there, such as vault:payments, and rotate it",
                "\(text)"
            )
        }
        #expect(check(FleetFixture.bindingPath, "vault:crm-prod", "aws+sm:prod/crm#key").isEmpty)
        // The secret is not repeated: findings end up in logs.
        #expect(!check(FleetFixture.toolPath, "{ref: \"vault:crm\"}", "{ref: hunter2}").contains("hunter2"))
    }

    @Test("Instructions are a file beside the manifest, by its plain name")
    func instructionNames() {
        for text in [
            "../prompt.md", "a/b.md", "/etc/passwd", ".env", "agent.yaml", "..", "\"\"", "prömpt.md", "\"a\\nb\"", "-",
        ] {
            let found = check(FleetFixture.agentPath, "prompt.md", "①\(text)")
            if text == "-" { continue }
            #expect(found.hasPrefix("\(FleetFixture.agentPath):①: error: instructions: "), "\(text)")
            #expect(found.contains("is not the name of a file beside this one"), "\(text)")
        }
    }

    @Test("Prices are by provider and model")
    func prices() {
        #expect(
            check(FleetFixture.pricesPath, "anthropic/claude-sonnet-4-5:", "①claude-sonnet-4-5:")
                == "\(FleetFixture.pricesPath):①: error: a key of models: 'claude-sonnet-4-5' is not a model: write <provider>/<name> [invalid-name]"
        )
        #expect(
            check(FleetFixture.pricesPath, "{input: 3.00, output: 15.00, cacheRead: 0.30}", "①{input: 3}")
                == "\(FleetFixture.pricesPath):①: error: anthropic/claude-sonnet-4-5 needs 'output': output tokens. [missing-field]"
        )
    }

    @Test("The trust domain is one that SPIFFE allows")
    func trustDomain() {
        for text in ["Agents.example.com", "agents/example", "agents:80", "ägents.example.com"] {
            #expect(
                check(FleetFixture.environmentPath, "agents.example.com", "①\(text)")
                    == "\(FleetFixture.environmentPath):①: error: trustDomain: '\(text)' is not a trust domain: use a-z, 0-9, '.', '_' and '-' [invalid-value]"
            )
        }
    }
}
