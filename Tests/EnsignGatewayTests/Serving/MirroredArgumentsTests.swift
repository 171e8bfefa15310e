import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignGateway

/// Examples of values are those of the specification (2026-07-28, "Value Encoding").
@Suite("Arguments that stand in headers, too")
struct MirroredArgumentsTests {
    private func mirrored(_ properties: String) throws -> MirroredArguments {
        try MirroredArguments(of: read(Array(#"{"type":"object","properties":{\#(properties)}}"#.utf8)))
    }

    private func one(_ type: String = "string") throws -> MirroredArguments {
        try mirrored(#""x":{"type":"\#(type)","x-mcp-header":"X"}"#)
    }

    private func value(_ value: JSONValue, _ type: String = "string") throws -> String? {
        let headers = try one(type).headers(of: ["x": value])
        #expect(headers.allSatisfy { $0.name == "Mcp-Param-X" })
        return headers.first?.value
    }

    @Test(
        "A value that a header cannot say as it is comes in Base64",
        arguments: [
            ("us-west1", "us-west1"), ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="), ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="), ("Seattle, WA", "Seattle, WA"), ("", ""),
            ("\r\nHost: evil", "=?base64?DQpIb3N0OiBldmls?="), ("a\tb", "=?base64?YQli?="),
            ("\u{0}", "=?base64?AA==?="), (" ", "=?base64?IA==?="),
        ]
    )
    func encoding(text: String, said: String) throws {
        #expect(try value(.string(text)) == said)
        #expect(try one().difference(of: ["mcp-param-x": [said]], from: ["x": .string(text)]) == nil)
    }

    @Test("Numbers are decimal, truth is a word, and what is null, not there or no single value says nothing")
    func types() throws {
        #expect(try value(-7, "integer") == "-7" && value(42.0, "integer") == "42")
        #expect(try value(9_007_199_254_740_991, "integer") == "9007199254740991")
        #expect(try value(true, "boolean") == "true" && value(false, "boolean") == "false")
        for nothing: JSONValue in [.null, [], [:], ["x"]] { #expect(try value(nothing) == nil) }
        #expect(try one().headers(of: [:]).isEmpty && one().headers(of: "x").isEmpty)
        #expect(try MirroredArguments(of: nil).headers(of: ["x": 1]).isEmpty)
        #expect(try MirroredArguments(of: true).headers(of: ["x": 1]).isEmpty)
    }

    @Test("An argument within another is read at exactly its place")
    func nested() throws {
        let mirrored = try mirrored(
            #""place":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#
        )
        #expect(mirrored.headers(of: ["place": ["region": "eu"], "region": "us"]).map(\.value) == ["eu"])
        #expect(mirrored.headers(of: ["place": "eu"]).isEmpty && mirrored.headers(of: ["region": "us"]).isEmpty)
    }

    @Test(
        "A definition whose headers are not what the protocol allows is none",
        arguments: [
            #""a":{"type":"string","x-mcp-header":""}"#, #""a":{"type":"string","x-mcp-header":"a b"}"#,
            #""a":{"type":"string","x-mcp-header":"a:b"}"#, #""a":{"type":"string","x-mcp-header":"a\r\nb"}"#,
            #""a":{"type":"string","x-mcp-header":"é"}"#, #""a":{"type":"string","x-mcp-header":true}"#,
            #""a":{"type":"string","x-mcp-header":null}"#, #""a":{"type":"number","x-mcp-header":"A"}"#,
            #""a":{"x-mcp-header":"A"}"#, #""a":{"type":["string","null"],"x-mcp-header":"A"}"#,
            #""a":{"type":"object","x-mcp-header":"A"}"#,
            #""a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}"#,
            #""a":{"items":{"type":"string","x-mcp-header":"A"}}"#,
            #""a":{"items":[{"type":"string","x-mcp-header":"A"}]}"#,
            #""a":{"items":{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}}"#,
            #""a":{"anyOf":[{"type":"string","x-mcp-header":"A"}]}"#,
            #""a":{"not":{"type":"string","x-mcp-header":"A"}}"#,
            #""a":{"$defs":{"b":{"type":"string","x-mcp-header":"A"}}}"#,
            #""a":{"patternProperties":{"b":{"type":"string","x-mcp-header":"A"}}}"#,
            #""a":{"additionalProperties":{"type":"string","x-mcp-header":"A"}}"#,
        ]
    )
    func defects(properties: String) throws {
        #expect(throws: MirroringDefect.self) { try mirrored(properties) }
    }

    @Test("What is data, or the name of an argument, is no header")
    func data() throws {
        for properties in [
            #""a":{"default":{"x-mcp-header":"A"},"enum":[{"x-mcp-header":"A"}]}"#,
            #""x-mcp-header":{"type":"string"}"#, #""items":{"type":"string"}"#,
        ] {
            #expect(try mirrored(properties).headers(of: ["a": "b", "x-mcp-header": "c", "items": "d"]).isEmpty)
        }
        #expect(throws: MirroringDefect.self) { try MirroredArguments(of: ["type": "string", "x-mcp-header": "A"]) }
    }

    @Test("A schema may be as deep as it likes")
    func deep() throws {
        var schema: JSONValue = ["type": "string"]
        for _ in 0..<400 { schema = ["properties": ["a": schema]] }
        #expect(try MirroredArguments(of: schema).headers(of: [:]).isEmpty)
    }

    @Test("A header that says something else than the argument, is there without it or is missing is found")
    func differences() throws {
        func differs(_ said: [String], _ value: JSONValue?, _ type: String = "string") throws -> Bool {
            let arguments: JSONValue = value.map { ["x": $0] } ?? [:]
            return try one(type).difference(of: said.isEmpty ? [:] : ["mcp-param-x": said], from: arguments) != nil
        }
        for (said, value) in [("eu", "eu"), ("=?base64?ZXU=?=", "eu"), ("", "")] as [(String, JSONValue)] {
            #expect(try !differs([said], value))
        }
        for (said, value) in [
            (["us"], "eu"), (["eu", "eu"], "eu"), ([], "eu"), (["eu"], nil), ([""], .null), (["EU"], "eu"),
            (["é"], "é"), (["=?base64?!?="], "eu"), (["=?base64?ZXV=?="], "eu"), (["eu"], ["eu"]),
        ] as [([String], JSONValue?)] {
            #expect(try differs(said, value), "\(said) \(String(describing: value))")
        }
        #expect(try !differs([], nil) && !differs([], .null))
        for said in ["42", "42.0", "=?base64?NDI=?="] { #expect(try !differs([said], 42, "integer"), "\(said)") }
        for said in ["42.5", "42.", "+42.0", "4.2e1", "43.0", "0x2a"] {
            #expect(try differs([said], 42, "integer"), "\(said)")
        }
        #expect(try !differs(["true"], true, "boolean") && differs(["True"], true, "boolean"))
    }
}
