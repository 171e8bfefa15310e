import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Scalars that YAML readers disagree about")
struct ScalarTests {
    static let booleans = [
        "y", "Y", "yes", "Yes", "YES", "n", "no", "No", "NO", "on", "On", "off", "OFF", "True", "FALSE",
    ]
    static let others = [
        "~", "Null", "NULL", "0x1F", "0o17", "0b101", "010", "08", "1_000", "12:30:45", "190:20:30", "2026-01-01",
        "2026-1-1", "2026-01-01T10:00:00Z", ".inf", "-.INF", ".nan", "+1", ".5", "5.", "1e", "=", "-0x1f",
    ]
    static let texts = [
        "nope", "yesterday", "none", "online", "~x", "1.2.3", "v1", "1-2", "0xZZ", "3pm", "...", "x=y", "12ab", "-",
        "--",
        "10.0.0.1", "true-ish", "é", "<", "<<a",
    ]

    @Test("Where text is wanted they are the text that was written", arguments: booleans + others + texts)
    func asText(text: String) {
        #expect(checkTeam("{members: [], escalation: \(text == "-" ? "\"-\"" : text)}") == "")
    }

    @Test("Where any value may stand they are refused with a quoting hint", arguments: booleans + others)
    func asAnything(text: String) {
        #expect(
            checkRuntime("{a: [①\(text)]}") == """
                ①: error: '\(text)' may be read as text or as something else [ambiguous-scalar]
                  hint: quote it if it is text: "\(text)"
                """
        )
        #expect(checkRuntime("{a: \"\(text)\"}") == "")
    }

    @Test("Text that no reader mistakes needs no quotes", arguments: texts)
    func plainTexts(text: String) {
        guard text != "-" else { return }
        #expect(checkRuntime("{a: [\(text)]}") == "")
    }

    @Test(
        "A key is text, and what every reader takes for something else is none",
        arguments: [
            ("1", "a number"), ("1.5", "a number"), ("-2", "a number"), ("true", "a boolean"), ("false", "a boolean"),
            ("null", "nothing"), ("~", "nothing"), ("? ", "nothing"),
        ]
    )
    func asKey(_ text: String, _ found: String) {
        let shown = text == "? " ? "" : text
        for (before, after) in [("{", "}"), ("{a: [{", "}]}")] {
            let said = checkRuntime("\(before)\(text): b\(after)")
            #expect(said.contains("error: a key must be text, and '\(shown)' is \(found) [wrong-type]"), "\(said)")
            #expect(said.contains("hint: quote it: \"\(shown)\""), "\(said)")
            #expect(checkRuntime("\(before)\"\(shown)\": b\(after)") == "")
        }
    }

    @Test(
        "Words, dates and versions are text as keys, as where text is wanted",
        arguments: booleans + ["2026-01-01", "010"]
    )
    func asTextKey(_ text: String) {
        #expect(checkRuntime("{\(text): b}") == "")
        #expect(checkSchema("{type: object, properties: {\(text): {type: number}}}") == "")
    }

    @Test("A zero at the end of a number would be lost: it is refused where any value may stand")
    func trailingZeros() {
        for text in ["1.10", "0.50", "1.0", "-2.00"] {
            #expect(
                checkRuntime("{version: ①\(text)}") == """
                    ①: error: '\(text)' would lose its last zero as a number [ambiguous-scalar]
                      hint: quote it if it is text: "\(text)"
                    """
            )
        }
        // In a schema a number is a number.
        #expect(checkSchema("{type: number, maximum: 100.00}") == "")
        #expect(checkRuntime("{a: 10, b: 1e10, c: 0.05, d: 0, e: 100}") == "")
    }

    @Test("Where a boolean is wanted the word that was meant is the hint", arguments: booleans)
    func asBoolean(text: String) {
        let meant = ["y", "yes", "on", "true"].contains(text.lowercased()) ? "true" : "false"
        #expect(
            check(FleetFixture.toolPath, "idempotent: true", "idempotent: ①\(text)") == """
                \(FleetFixture.toolPath):①: error: '\(text)' is text here, and idempotent must be true or false [ambiguous-scalar]
                  hint: write \(meant)
                """
        )
    }

    @Test(
        "Where a number is wanted they are refused",
        arguments: others.filter { !["~", "Null", "NULL", "="].contains($0) }
    )
    func asNumber(text: String) {
        #expect(
            check(FleetFixture.agentPath, "costUSD: 0.5", "costUSD: ①\(text)") == """
                \(FleetFixture.agentPath):①: error: '\(text)' is not a JSON number, and costUSD must be a number [ambiguous-scalar]
                  hint: write digits, such as 8 or 0.5
                """
        )
    }

    @Test("A boolean or a null where text is wanted is refused")
    func booleanAsText() {
        #expect(
            checkTeam("{members: [], escalation: ①true}") == """
                ①: error: escalation must be a line of text, and 'true' is a boolean [wrong-type]
                  hint: quote it: "true"
                """
        )
        #expect(checkTeam("{members: [], escalation: \"true\"}") == "")
    }

    @Test(
        "Numbers that a double cannot hold are refused, the smallest integer included",
        arguments: [
            "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808",
            "99999999999999999999", "1e400", "-1e400",
        ]
    )
    func outOfRange(text: String) {
        #expect(
            check(FleetFixture.agentPath, "steps: 8", "steps: ①\(text)")
                == "\(FleetFixture.agentPath):①: error: steps is too large to be held exactly [out-of-range]"
        )
        #expect(
            checkRuntime("{a: ①\(text)}")
                == "①: error: runtime: the number is too large to be held exactly [out-of-range]"
        )
    }

    @Test("A value that is missing where any may stand is refused; null is one")
    func missingValue() {
        #expect(
            checkRuntime("{a: }").hasSuffix(
                """
                error: a value is missing in runtime [missing-value]
                  hint: write null if nothing is meant
                """
            )
        )
        #expect(checkRuntime("{a: null, b: [true, false]}") == "")
    }

    @Test("Keys are text, whatever they look like")
    func keys() {
        #expect(checkRuntime("{no: 1, 010: 2, 2026-01-01: 3, \"~\": 4, \"true\": 5}") == "")
    }

    @Test("Values keep their type on the way into the bundle")
    func values() throws {
        var fixture = FleetFixture()
        fixture.replace(
            "{kind: langgraph, graph: \"tickets:graph\"}",
            with: "{a: 1, b: 1.5, c: -0, d: 1e3, e: true, f: null, g: \"1\", h: \"no\", i: x, no: [], j: \"x\\ny\"}",
            in: FleetFixture.agentPath
        )
        let runtime = try #require(try fixture.compile()?.bundle.runtime)
        #expect(
            String(decoding: runtime.canonicalBytes(), as: UTF8.self)
                == #"{"a":1,"b":1.5,"c":0,"d":1000,"e":true,"f":null,"g":"1","h":"no","i":"x","j":"x\ny","no":[]}"#
        )
    }
}
