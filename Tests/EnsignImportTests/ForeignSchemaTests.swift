import EnsignImport
import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

/// Schemas as real servers and generators write them.
@Suite("Schemas of others") struct ForeignSchemaTests {
    private func bring(_ input: String) throws -> (schema: JSONValue?, decisions: [ImportDecision]) {
        let schema = try JSONParser.parse(Array(input.utf8))
        let source = ToolImport.Source(owner: "support", description: nil, server: nil, origin: "a test")
        let result = try ToolImport([OfferedOperation(name: "a", input: schema)], of: source, existing: nil)
        guard let text = result.text else { return (nil, result.decisions) }
        let loaded = ManifestLoader.load(Tool.self, Array(text.utf8), path: "fleet/tools/t/1.0.0.yaml")
        #expect(loaded.findings.filter { $0.severity == .error } == [], "\(text)")
        return (loaded.value?.operations["a"]?.input, result.decisions)
    }

    @Test(
        "What means the same in the words of manifests is written in them",
        arguments: [
            (
                ##"{"$schema": "https://json-schema.org/draft-07/schema#"}"##,
                ##"{"$schema": "http://json-schema.org/draft-07/schema#"}"##
            ),
            (
                ##"{"$schema": "http://json-schema.org/draft-06/schema#"}"##,
                ##"{"$schema": "http://json-schema.org/draft-07/schema#"}"##
            ),
            (
                ##"{"$schema": "http://json-schema.org/draft-04/schema#"}"##,
                ##"{"$schema": "http://json-schema.org/draft-07/schema#"}"##
            ),
            (##"{"$schema": "http://json-schema.org/schema#", "type": "object"}"##, ##"{"type": "object"}"##),
            (
                #"{"title": null, "description": null, "properties": null, "required": null, "type": "object"}"#,
                #"{"type": "object"}"#
            ),
            (#"{"type": "string", "nullable": true}"#, #"{"type": ["string", "null"]}"#),
            (
                #"{"type": ["string", "null"], "nullable": true, "enum": ["a"]}"#,
                #"{"type": ["string", "null"], "enum": ["a", null]}"#
            ),
            (
                #"{"type": "number", "minimum": 0, "exclusiveMinimum": true}"#,
                #"{"type": "number", "exclusiveMinimum": 0}"#
            ),
            (#"{"type": "number", "maximum": 9, "exclusiveMaximum": false}"#, #"{"type": "number", "maximum": 9}"#),
            (
                #"{"type": "object", "properties": {"a": {"required": true}, "b": {"required": false}, "c": {"required": true}}, "required": ["c"]}"#,
                #"{"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["c", "a"]}"#
            ),
            (
                ##"{"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a", "maxLength": 3}}, "type": "object"}"##,
                ##"{"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a", "maxLength": 3}}, "type": "object"}"##
            ),
            // Beyond what 64 bits hold.
            (
                #"{"type": "integer", "maximum": 18446744073709551615, "minimum": -1.7976931348623157e308}"#,
                #"{"type": "integer", "maximum": 9007199254740991, "minimum": -9007199254740991}"#
            ),
        ]
    )
    func renewed(_ written: String, _ expected: String) throws {
        let (schema, decisions) = try bring(written)
        #expect(schema == (try JSONParser.parse(Array(expected.utf8))), "\(decisions.map(\.text))")
    }

    @Test(
        "Words that only annotate are left out, and that is said",
        arguments: [
            "enumNames", "enumDescriptions", "markdownDescription", "errorMessage", "strict", "propertyOrdering",
            "externalDocs", "optional", "ui:widget",
        ]
    )
    func annotations(_ word: String) throws {
        let (schema, decisions) = try bring(
            "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"\(word)\": [\"x\"]}}}"
        )
        #expect(schema == ["type": "object", "properties": ["a": ["type": "string"]]])
        #expect(decisions.contains { $0.kind == .look && $0.message.contains("'\(word)'") }, "\(decisions.map(\.text))")
        // As a property's name it is one.
        let named = try bring("{\"type\": \"object\", \"properties\": {\"\(word)\": {\"type\": \"string\"}}}")
        #expect(named.schema?["properties"]?[word] == ["type": "string"])
    }

    @Test(
        "A default that nothing holds exactly is left out, and that is said; such a value of an enum leaves the tool out"
    )
    func defaults() throws {
        let (schema, decisions) = try bring(#"{"type": "integer", "default": 1152921504606846976}"#)
        #expect(schema == ["type": "integer"] && decisions.contains { $0.message.contains("'default'") })
        #expect(try bring(#"{"enum": [1152921504606846976]}"#).schema == nil)
    }

    @Test(
        "A word that may keep a value out is never left out: the tool is",
        arguments: [
            #"{"unevaluatedProperties": false}"#, #"{"divisibleBy": 3}"#, #"{"maximun": 3}"#,
            #"{"items": {"required": true}}"#,
            ##"{"$schema": "http://json-schema.org/draft-03/schema#"}"##, ##"{"exclusiveMinimum": "a"}"##,
        ]
    )
    func limits(_ written: String) throws {
        #expect(try bring(written).schema == nil)
    }

    @Test("A schema that is nested too deep leaves its own tool out")
    func deep() throws {
        var schema = "{}"
        for _ in 0..<200 { schema = "{\"not\": \(schema)}" }
        let deep = OfferedOperation(name: "deep", input: try JSONParser.parse(foreign: Array(schema.utf8)))
        let source = ToolImport.Source(owner: "support", description: nil, server: nil, origin: "a test")
        let result = try ToolImport([deep, OfferedOperation(name: "b")], of: source, existing: nil)
        #expect(result.operations == 1)
        #expect(result.decisions.contains { $0.subject == "deep" && $0.message.contains("nested too deep") })
    }

    // MARK: Documents

    @Test("A byte order mark in front is passed over", arguments: ["{\"a\": 1}", "\n{\"a\": 1}", "a: 1\n"])
    func mark(_ text: String) throws {
        #expect(try ForeignDocument.read(Array("\u{feff}\(text)".utf8)) == ["a": 1])
    }

    @Test("The place of something is the place or none, whatever YAML makes of JSON")
    func places() {
        let lines = [#"{"tools": ["#, #"{"name": "a","#, #" "title": "\ud83d\ude00"},"#, #"{"name": "b"}]}"#]
        let text = lines.joined(separator: "\n")
        let pointers = [["tools", "0", "name"], ["tools", "1", "name"]]
        let found = ManifestLoader.positions(of: pointers, in: Array(text.utf8))
        #expect(found == [Position(line: 2, column: 2), nil])
        let plain = text.replacing(#"\ud83d\ude00"#, with: "x")
        #expect(
            ManifestLoader.positions(of: pointers, in: Array(plain.utf8)) == [
                Position(line: 2, column: 2), Position(line: 4, column: 2),
            ]
        )
    }

    @Test("A prompt keeps the characters that show nothing, which is said; what no text may have is made visible")
    func prompts() throws {
        func prompt(_ goal: String) throws -> (text: String, decisions: [String]) {
            let agents: JSONValue = ["a": ["role": "R", "goal": .string(goal)]]
            let agent = try #require(try AgentFiles.crewAI(agents: agents, tasks: nil).first)
            return (agent.prompt ?? "", agent.decisions.map(\.text))
        }
        for goal in ["\u{1F468}\u{200D}\u{1F469}", "co\u{AD}operate", "\u{200F}\u{5D0}"] {
            let found = try prompt(goal)
            #expect(found.text.contains(goal) && !found.text.contains("\\u{"), "\(found)")
        }
        #expect(try prompt("a\u{202E}b").decisions.contains { $0.contains("of its prompt") })
        #expect(try prompt("plain").decisions.allSatisfy { !$0.contains("of its prompt") })
        let steering = try prompt("\u{1b}[2J \u{200D}")
        #expect(!steering.text.contains("\u{1b}") && steering.text.unicodeScalars.contains("\u{200D}"), "\(steering)")
    }
}
