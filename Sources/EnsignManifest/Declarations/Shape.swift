/// What may be at one place in a manifest.
///
/// Checking, decoding's defaults, the JSON Schemas for editors and the reference in docs/ all read these declarations.
package indirect enum Shape: Sendable {
    case text(TextForm)
    /// A text, or a record in which at least one of the fields is set.
    case textOr(TextForm, [Field])
    /// A text, or a list of such.
    case oneOrMore(TextForm, count: ClosedRange<Int>)
    case integer(ClosedRange<Int64>)
    /// A JSON number in a range.
    case number(ClosedRange<Double>)
    case boolean
    /// A boolean, or this word.
    case booleanOr(String)
    case list(Shape, count: ClosedRange<Int>)
    case record([Field])
    /// A record in which exactly one of the fields is set.
    case choice([Field])
    /// A record of one of several forms; the first field of a form tells which one it is.
    case form([[Field]])
    case map(keys: TextForm, values: Shape, count: ClosedRange<Int>)
    /// Any JSON object: handed on untouched.
    case object
    /// A JSON Schema of the vocabulary in docs/json-schema.md.
    case schema
    /// The same, for a call's arguments: limits that no `type` enforces give a warning.
    case argumentSchema
    /// A number in the metric's own unit, or a percentage such as `20%`.
    case margin
    /// A record of a metric: its name decides what the other fields may be.
    case metric([Field])
    /// A record of a canary: its steps grow, and its deadline leaves time for them.
    case canary([Field])
    /// The `spec` of an agent: it has a model, or its runtime names what it runs; see `ShapeChecker+Agent.swift`.
    case agent([Field])
}

/// One field of a record.
package struct Field: Sendable {
    package var name: String
    /// One sentence for the reference and editors.
    package var summary: String
    package var shape: Shape
    package var isRequired: Bool
    /// The default when the field is absent, as it would be written.
    package var standard: String?
    let bytes: [UInt8]

    package init(_ name: String, _ summary: String, _ shape: Shape, required: Bool = false, standard: String? = nil) {
        self.name = name
        self.summary = summary
        self.shape = shape
        isRequired = required
        self.standard = standard
        bytes = Array(name.utf8)
    }
}

/// A rule for the text of a scalar.
package struct TextForm: Sendable {
    /// What the text is, for messages: "a name".
    package var title: String
    /// The code of a finding about a text that is not accepted.
    package var code: String
    /// An ECMA-262 regular expression for editors; nil when the values are listed or anything goes.
    package var pattern: String?
    /// The texts that are accepted, when they can be listed.
    package var values: [String]?
    package var maxBytes: Int
    /// Whether a boolean and a null are read as the text as written.
    package var takesAnyScalar: Bool
    /// Why a text is not accepted; nil when it is.
    let problem: @Sendable (String) -> String?

    /// Why a text is not accepted; nil when it is.
    package func problem(of text: String) -> String? { problem(text) }

    package init(
        _ title: String,
        code: String = "invalid-value",
        pattern: String? = nil,
        values: [String]? = nil,
        maxBytes: Int = 256,
        takesAnyScalar: Bool = false,
        problem: @escaping @Sendable (String) -> String? = { _ in nil }
    ) {
        self.title = title
        self.code = code
        self.pattern = pattern
        self.values = values
        self.maxBytes = maxBytes
        self.takesAnyScalar = takesAnyScalar
        self.problem = problem
    }

    /// A text that is one of some words.
    package static func oneOf(_ values: [String]) -> TextForm {
        TextForm("one of \(values.joined(separator: ", "))", values: values) { text in
            if values.contains(text) { return nil }
            return values.count == 1
                ? "must be '\(values[0])', and this is '\(text)'"
                : "'\(text)' is not one of \(values.joined(separator: ", "))"
        }
    }

    package static func oneOf<Value: CaseIterable & RawRepresentable>(_ type: Value.Type) -> TextForm
    where Value.RawValue == String {
        oneOf(type.allCases.map(\.rawValue))
    }
}
