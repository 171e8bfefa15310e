import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("JSON Schemas in manifests")
struct SchemaFindingTests {
    @Test("A misspelt keyword is refused where it is, with the nearest")
    func keywords() {
        #expect(
            checkSchema("{type: object, ①propertis: {}}") == """
                ①: error: output: unknown keyword 'propertis' [schema-unknown-keyword]
                  hint: did you mean 'properties'?
                """
        )
        #expect(
            checkSchema("{properties: {a: {items: {①minimun: 1}}}}") == """
                ①: error: output: unknown keyword 'minimun' [schema-unknown-keyword]
                  hint: did you mean 'minimum'?
                """
        )
    }

    @Test("A value of another type, a bad pattern, a reference into nothing: each at its place")
    func values() {
        #expect(checkSchema("{①type: strin}").hasPrefix("①: error: output: there is no type 'strin'"))
        #expect(checkSchema("{①pattern: \"(\"}").hasPrefix("①: error: output: the pattern does not compile"))
        #expect(
            checkSchema("{①minLength: -1}").hasPrefix("①: error: output: expected a whole number that is not negative")
        )
        #expect(
            checkSchema("{①$ref: \"#/$defs/x\", $defs: {y: {}}}").contains("①: error: output: there is no schema at")
        )
        #expect(checkSchema("{①$ref: \"https://example.com/s.json\"}").contains("[schema-invalid-reference]"))
        #expect(checkSchema("①[]").contains("①: error: output: a schema is an object or a boolean"))
        #expect(
            checkSchema("{$ref: \"#/$defs/a\", $defs: {a: {$ref: \"#/$defs/a\"}}}").contains("[schema-reference-cycle]")
        )
    }

    @Test("What nothing can satisfy is a warning")
    func contradictions() {
        #expect(
            checkSchema("{①minimum: 5, maximum: 3}")
                == "①: warning: output: 'minimum' is more than 'maximum' [schema-contradiction]"
        )
    }

    @Test("true and false are schemas; text that looks like them is not")
    func booleans() {
        #expect(checkSchema("true") == "")
        #expect(checkSchema("false") == "")
        #expect(checkSchema("①yes").contains("[ambiguous-scalar]"))
        #expect(checkSchema("{enum: [①no, x]}").contains("①: error: 'no' may be read as text or as something else"))
    }
}
