import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import EnsignYAML
import Testing

@Suite("JSON Schemas for editors")
struct EditorSchemaTests {
    /// The kind of a path's manifest; nil for files that are not manifests.
    private func kind(of path: String) -> ManifestKind? {
        let parts = path.split(separator: "/")
        guard path.hasSuffix(".yaml") else { return nil }
        return switch (parts[0], parts[1], parts.count) {
        case ("fleet", "agents", _): .agent
        case ("fleet", "tools", _): .tool
        case ("fleet", "roles", _): .role
        case ("fleet", "teams", _): .team
        case ("fleet", "prices.yaml", _): .prices
        case ("environments", _, 3): .environment
        case ("environments", _, _): parts[2] == "tools" ? .binding : .deployment
        default: nil
        }
    }

    /// The document as an editor reads it: JSON's scalars, everything else text.
    private func json(_ bytes: [UInt8]) -> JSONValue? {
        let tape = YAMLParser.parse(TextScan.scan(bytes, manifest: true).text).tape
        func value(_ node: Int) -> JSONValue {
            switch tape.kind(of: node) {
            case .quoted, .invalid: return .string(tape.string(of: node))
            case .plain:
                let text = tape.string(of: node)
                if text.isEmpty { return .null }
                let json = try? JSONParser.parse(Array(text.utf8))
                return json.flatMap { $0.string == nil && $0.array == nil && $0.object == nil ? $0 : nil }
                    ?? .string(text)
            case .sequence:
                var elements: [JSONValue] = []
                tape.forEachElement(of: node) { elements.append(value($0)) }
                return .array(elements)
            case .mapping:
                var members: [(String, JSONValue)] = []
                tape.forEachPair(of: node) { members.append((tape.string(of: $0), value($1))) }
                return .object(JSONObject(members))
            }
        }
        return tape.root.map(value)
    }

    private func violations(_ kind: ManifestKind, _ text: String) throws -> [String] {
        let value = try #require(json(Array(text.utf8)))
        return try JSONSchema(kind.editorSchema).validate(value).map(\.description)
    }

    @Test("Every kind has one, which our own validator takes", arguments: ManifestKind.allCases)
    func valid(kind: ManifestKind) throws {
        #expect(lintSchema(kind.editorSchema) == [])
        #expect(kind.editorSchema["$schema"] == "http://json-schema.org/draft-07/schema#")
        #expect(kind.editorSchema["title"] == .string("Ensign \(kind.rawValue)"))
        #expect(try !JSONSchema(kind.editorSchema).validate([:]).isEmpty)
    }

    @Test("The sample fleet's manifests are valid by them")
    func sample() throws {
        let schemas = try Dictionary(
            uniqueKeysWithValues: ManifestKind.allCases.map { ($0, try JSONSchema($0.editorSchema)) }
        )
        var seen: Set<ManifestKind> = []
        for (path, bytes) in try packageFiles(below: "fleet", "environments") {
            guard let kind = kind(of: path), let value = json(bytes) else { continue }
            seen.insert(kind)
            #expect(schemas[kind]?.validate(value).map(\.description) == [], "\(path)")
        }
        #expect(seen == Set(ManifestKind.allCases))
    }

    @Test("So are those of the small fleet, and labels of any kind")
    func small() throws {
        for (path, entry) in FleetFixture().entries {
            guard case .text(let text) = entry, let kind = kind(of: path) else { continue }
            #expect(try violations(kind, text) == [], "\(path)")
        }
        #expect(
            try violations(
                .team,
                "apiVersion: ensign.dev/v1\nkind: Team\nmetadata: {labels: {a: yes, b: true, c: 1.10, d: null}}\nspec: {members: []}\n"
            )
                == []
        )
    }

    @Test("What Ensign refuses for its shape, they refuse")
    func refused() throws {
        let head = "apiVersion: ensign.dev/v1\nkind: Environment\nspec: "
        for spec in [
            "{prun: true}", "{prune: yes}", "{keepFor: 5}", "{keepFor: 5min}", "{maxPruneShare: 2}", "{rollout: {}}",
            "{rollout: {immediate: {}, canary: {steps: [{weight: 1, hold: 1m}]}}}", "{rollout: {canary: {steps: []}}}",
            "{killSwitch: [{}]}", "{killSwitch: [{spend: 25}]}", "{killSwitch: [{steps: 5, within: 5m}]}",
            "{killSwitch: [{spend: 25, steps: 5, within: 1m}]}", "{promotesFrom: Dev}", "[]",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 0x10%}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 1, query: up}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"prometheus:a\", kind: rate, good: true, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: sucess, kind: rate, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, good: false, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: distribution, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: cost, kind: rate, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: denied-calls, kind: rate, good: true, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: latency, kind: count, good: true, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"evaluation:\", kind: rate, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"evaluation:a\", kind: count, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"prometheus:\", kind: count, margin: 1, query: up}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"prometheus:a\", kind: rate, margin: 1, query: up}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"prometheus:a\", kind: count, good: true, margin: 1, query: up}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 1.5}]}}}}",
        ] {
            #expect(try !violations(.environment, head + spec).isEmpty, "\(spec)")
        }
        for spec in [
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"prometheus:a\", kind: rate, good: true, margin: 1, query: up, step: 1m}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, good: true, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: cost, kind: distribution, margin: 20%}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: denied-calls, kind: rate, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: tool-errors, kind: count, good: false, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"evaluation:a\", kind: rate, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"evaluation:toxic\", kind: rate, good: false, margin: 1}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: \"prometheus:a\", kind: count, margin: 1, query: up}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: success, kind: rate, margin: 200%}]}}}}",
            "{rollout: {canary: {steps: [{weight: 1, hold: 1m}], analysis: {metrics: [{name: cost, kind: distribution, margin: 1.5}]}}}}",
            "{}", "{killSwitch: [{spend: 25, within: 5m}, {steps: 50}]}", "{prune: false, keepFor: 5m}",
        ] {
            #expect(try violations(.environment, head + spec) == [], "\(spec)")
        }
        #expect(try !violations(.team, head + "{members: []}").isEmpty)
        try selectors()
    }

    /// What an editor says of lists of operations is what the checker says.
    private func selectors() throws {
        func role(_ operations: String) throws -> [String] {
            try violations(
                .role,
                "apiVersion: ensign.dev/v1\nkind: Role\nspec: {grants: [{tool: crm, operations: \(operations)}]}\n"
            )
        }
        for operations in [
            "[find]", "[\"*\"]", "[{access: read}]", "[{risk: low, access: write}, get_x.y-Z]",
            "[find], except: [\"*\"]",
        ] { #expect(try role(operations) == [], "\(operations)") }
        for operations in [
            "[]", "[{}]", "[{access: reed}]", "[\"**\"]", "[a/b]", "[{name: a}]", "\"*\"", "[find], except: []",
        ] {
            #expect(try !role(operations).isEmpty, "\(operations)")
        }
    }
}
