/// What is wrong with a schema that somebody wrote.
package struct SchemaProblem: Sendable, Hashable {
    /// Stable, listed in the docs.
    package enum Code: String, Sendable, Hashable, CaseIterable {
        /// Neither a keyword that is checked nor an annotation.
        case unknownKeyword = "schema-unknown-keyword"
        /// A keyword that is deliberately not accepted, or not here.
        case refusedKeyword = "schema-refused-keyword"
        /// A keyword whose value is of the wrong type or out of range.
        case invalidValue = "schema-invalid-value"
        /// A regular expression that does not compile.
        case invalidPattern = "schema-invalid-pattern"
        /// A `$ref` that does not lead to a schema in the same document.
        case invalidReference = "schema-invalid-reference"
        /// References that come back to themselves at the same value.
        case referenceCycle = "schema-reference-cycle"
        /// A keyword that the schema's dialect ignores, or ignores because of others beside it.
        case ignoredKeyword = "schema-ignored-keyword"
        /// Keywords that nothing can satisfy together, or one that does nothing. A warning.
        case contradiction = "schema-contradiction"
        /// Words of draft 7 alone in a schema that does not say its dialect. A warning.
        case unlabelledDialect = "schema-unlabelled"
        case tooDeep = "schema-too-deep"
        /// A limit that lets values of other types past. ``lintSchema(_:)`` does not find it: another schema may fix
        /// the type. An error in a grant, a warning in a tool.
        case untypedLimit = "schema-untyped-limit"
    }

    package enum Severity: Sendable, Hashable {
        case error
        case warning
    }

    /// The way from the root of the schema to the place, as JSON Pointer's unescaped segments (RFC 6901). May end in a
    /// key that is wrong itself.
    package let pointer: [String]
    package let code: Code
    /// One sentence without a full stop, printable.
    package let message: String
    /// What was probably meant instead of the pointer's last segment or the value there.
    package let suggestion: String?
    package let severity: Severity

    package init(pointer: [String], code: Code, message: String, suggestion: String? = nil) {
        self.pointer = pointer
        self.code = code
        self.message = message
        self.suggestion = suggestion
        self.severity = code == .contradiction || code == .unlabelledDialect ? .warning : .error
    }
}
