import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Structure of a manifest")
struct StructureTests {
    @Test("The small fleet has nothing to find")
    func clean() {
        #expect(FleetFixture().check() == "")
    }

    @Test("An unknown field is an error at its name, with the nearest known one as hint")
    func unknownField() {
        #expect(
            checkTeam("{①membrs: [ada@example.com], members: [ada@example.com]}") == """
                ①: error: unknown field 'membrs' [unknown-field]
                  hint: did you mean 'members'?
                """
        )
    }

    @Test("An unknown field that is like none gets the list of fields")
    func unknownFieldUnlikeAny() {
        #expect(
            checkTeam("{members: [], ①owner: x}") == """
                ①: error: unknown field 'owner' [unknown-field]
                  hint: fields here: members, escalation, limits
                """
        )
        #expect(
            check(FleetFixture.deploymentPath, "limits: {costUSDPerDay: 40}", "rollout: {immediate: {①now: true}}")
                == """
                \(FleetFixture.deploymentPath):①: error: unknown field 'now' [unknown-field]
                  hint: immediate has no fields
                """
        )
    }

    @Test("Fields differ in case")
    func fieldCase() {
        #expect(
            check(FleetFixture.teamPath, "①apiversion: ensign.dev/v1\nkind: Team\nspec: {members: []}\n")
                == """
                \(FleetFixture.teamPath):1:1: error: the manifest needs 'apiVersion': the manifest's format. [missing-field]
                \(FleetFixture.teamPath):①: error: unknown field 'apiversion' [unknown-field]
                  hint: did you mean 'apiVersion'?
                """.replacing("1:1", with: "①")
        )
    }

    @Test("A missing field is an error where its record starts, and says what the field is for")
    func missingField() {
        #expect(
            checkTeam("①{escalation: x}")
                == "①: error: spec needs 'members': the people in the team, as `allowed_signers` names those who sign. [missing-field]"
        )
        #expect(
            check(
                FleetFixture.agentPath,
                "{provider: anthropic, name: claude-sonnet-4-5, parameters: {temperature: 0.2}}",
                "①{provider: anthropic}"
            )
                == "\(FleetFixture.agentPath):①: error: model needs 'name': the model's name at the provider. [missing-field]"
        )
    }

    @Test("A field that is set twice is an error that names both lines")
    func duplicateKey() {
        #expect(
            check(
                FleetFixture.teamPath,
                "apiVersion: ensign.dev/v1\nkind: Team\nspec:\n  ②members: []\n  ①members: [a]\n"
            )
                == """
                \(FleetFixture.teamPath):①: error: 'members' is set twice (first on line 4) [duplicate-key]
                  hint: keep one of them
                  \(FleetFixture.teamPath):②: note: first set here
                """
        )
    }

    @Test("A manifest of another kind is refused, and its fields are not held against the wrong kind")
    func wrongKind() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ensign.dev/v1\nkind: ①Role\nspec: {grants: []}\n")
                .hasPrefix(
                    """
                    \(FleetFixture.teamPath):①: error: kind is Role, and \(FleetFixture.teamPath) is where a Team belongs [wrong-kind]
                      hint: write kind: Team, or move the file
                    """
                )
        )
    }

    @Test("A kind that does not exist is refused with the nearest, and the rest is checked as the path's kind")
    func unknownKind() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ensign.dev/v1\nkind: ①Taem\nspec: {②member: []}\n")
                == """
                \(FleetFixture.teamPath):①: error: kind: must be 'Team', and this is 'Taem' [invalid-value]
                  hint: did you mean 'Team'?
                \(FleetFixture.teamPath):②: error: spec needs 'members': the people in the team, as `allowed_signers` names those who sign. [missing-field]
                \(FleetFixture.teamPath):3:8: error: unknown field 'member' [unknown-field]
                  hint: did you mean 'members'?
                """.replacing("②: error: spec", with: "3:7: error: spec").replacing("3:8", with: "②")
        )
    }

    @Test("Another version of the format is refused")
    func apiVersion() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ①ensign.dev/v2\nkind: Team\nspec: {members: []}\n") == """
                \(FleetFixture.teamPath):①: error: apiVersion: must be 'ensign.dev/v1', and this is 'ensign.dev/v2' [invalid-value]
                  hint: did you mean 'ensign.dev/v1'?
                """
        )
    }

    @Test("A document that is no mapping is refused", arguments: ["①[a, b]", "①text", "①\"\"", "①- apiVersion: x"])
    func noMapping(text: String) {
        let found = check(FleetFixture.teamPath, "\(text)\n")
        #expect(
            found.hasPrefix(
                "\(FleetFixture.teamPath):①: error: a manifest must be a mapping with apiVersion, kind and spec [wrong-type]"
            )
        )
    }

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

    @Test("A structural error hides no other finding of its file")
    func findingsGoOn() {
        let found = check(
            FleetFixture.agentPath,
            """
            apiVersion: ensign.dev/v1
            kind: Agent
            metadata: {name: ①other}
            spec:
              description: ②[]
              ③modle: {provider: a, name: b}
              model: {provider: &a x, name: y}
              instructions: ④promt.md
              needs:
                tools:
                  - {tool: ⑤cmr, version: 1.0.0, operations: [find]}
                  - {tool: crm, version: ⑥1.0.1, operations: [find]}
                  - {tool: ⑧crm, version: 1.0.0, operations: [⑦fnid]}
                agents: [⑨support/dekc]
              limits: {steps: ⑩many}
              instructions: prompt.md
            """
        )
        for (marker, code) in [
            ("①", "wrong-identity"), ("②", "wrong-type"), ("③", "unknown-field"), ("④", "missing-file"),
            ("⑤", "unknown-tool"), ("⑥", "unknown-version"), ("⑦", "unknown-operation"), ("⑧", "duplicate-need"),
            ("⑨", "unknown-agent"), ("⑩", "wrong-type"), ("7:21", "anchor"), ("16:3", "duplicate-key"),
        ] {
            #expect(
                found.split(separator: "\n").contains {
                    $0.hasPrefix("\(FleetFixture.agentPath):\(marker): error:") && $0.hasSuffix("[\(code)]")
                },
                "\(marker) \(code)"
            )
        }
    }

    @Test("After a syntax error what was read is checked, and nothing is said to be missing")
    func syntaxErrors() {
        #expect(
            check(FleetFixture.teamPath, "apiVersion: ensign.dev/v1\nkind: Team\n①specs: {}\nspec: {members: ②[x\n")
                .split(separator: "\n").filter { $0.contains("error") } == [
                    "\(FleetFixture.teamPath):①: error: unknown field 'specs' [unknown-field]",
                    "\(FleetFixture.teamPath):②: error: the '[' that opens here is not closed [yaml-syntax]",
                ]
        )
    }

    @Test(
        "A file that a syntax error cuts off causes no findings in others about what it would have declared",
        arguments: [
            (FleetFixture.environmentPath, "promotesFrom: dev", "promotesFrom: 'dev"),
            (FleetFixture.environmentPath, "promotesFrom: dev", "promotesFrom dev"),
            ("environments/dev/environment.yaml", "spec: {mutableVersions", "spec: {x: [mutableVersions"),
            (FleetFixture.toolPath, "update:", "update"),
            (FleetFixture.toolPath, "required: [customer]", "required: [customer"),
            (FleetFixture.toolPath, "access: write", "  access: write"), (FleetFixture.rolePath, "[find]", "[find"),
            (FleetFixture.rolePath, "tool: crm", "tool: 'crm"), (FleetFixture.teamPath, "[ada", "[\"ada"),
            (FleetFixture.bindingPath, "\"vault:crm-prod\"}}", "\"vault:crm-prod\"}"),
            (FleetFixture.agentPath, "needs:", "needs"),
            (FleetFixture.agentPath, "description: Sorts", "description: \"Sorts"),
            (FleetFixture.agentPath, "[find, update, erase]", "[find, update, erase"),
        ]
    )
    func noCascades(_ path: String, _ old: String, _ new: String) throws {
        var fixture = FleetFixture()
        fixture["environments/dev/agents/support/desk.yaml"] = """
            apiVersion: ensign.dev/v1
            kind: Deployment
            spec: {version: next}

            """
        for file in ["agent.yaml", "prompt.md"] {
            fixture["fleet/agents/support/desk/next/\(file)"] = fixture["fleet/agents/support/desk/1.0.0/\(file)"]
        }
        #expect(fixture.check() == "")
        fixture.replace(old, with: new, in: path)
        let found = try fixture.findings()
        #expect(found.filter { $0.path != path }.map(\.message) == [])
        #expect(found.contains { $0.path == path && $0.code == "yaml-syntax" })
    }

    @Test("An unclosed list says nothing of the words that it took in")
    func unclosedList() {
        var fixture = FleetFixture()
        fixture.replace("roles: [reader]", with: "roles: ①[reader", in: FleetFixture.deploymentPath)
        let found = fixture.check(only: FleetFixture.deploymentPath).split(separator: "\n").filter {
            $0.contains("error")
        }
        #expect(
            found == ["\(FleetFixture.deploymentPath):①: error: the '[' that opens here is not closed [yaml-syntax]"]
        )
    }

    @Test("A version that is not there: which ones are, and no guess by spelling")
    func unknownVersion() {
        var fixture = FleetFixture()
        fixture.replace("version: 1.0.0", with: "version: ①1.0.1", in: FleetFixture.deploymentPath)
        #expect(
            fixture.check(only: FleetFixture.deploymentPath).hasSuffix(
                "①: error: agent 'support/triage' has no version 1.0.1 [unknown-version]\n  hint: its versions: 1.0.0"
            )
        )
    }

    @Test("One bad file hides no finding in another")
    func badFiles() throws {
        var fixture = FleetFixture()
        fixture.entries[FleetFixture.teamPath] = .bytes([0xFF, 0xFE, 0x61, 0x00])
        fixture.entries[FleetFixture.toolPath] = .bytes([0x00])
        fixture.entries[FleetFixture.agentPath] = .huge(1 << 30)
        fixture[FleetFixture.rolePath] = "{[[a"
        fixture[FleetFixture.environmentPath] = ""
        fixture[FleetFixture.deploymentPath] = "- ①&a b\n"
        fixture[FleetFixture.pricesPath] = team("{members: []}")
        let found = try fixture.findings()
        for (path, code) in [
            (FleetFixture.teamPath, "encoding"), (FleetFixture.toolPath, "control-character"),
            (FleetFixture.agentPath, "too-large"), (FleetFixture.rolePath, "yaml-syntax"),
            (FleetFixture.environmentPath, "empty-file"), (FleetFixture.deploymentPath, "anchor"),
            (FleetFixture.pricesPath, "wrong-kind"),
        ] {
            #expect(found.contains { $0.path == path && $0.code == code && $0.severity == .error }, "\(path) \(code)")
        }
    }
}
