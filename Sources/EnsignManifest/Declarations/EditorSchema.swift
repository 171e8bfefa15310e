package import EnsignModel

extension ManifestKind {
    /// The JSON Schema (draft-07) of this kind, for editors and for other checkers.
    package var editorSchema: JSONValue {
        Self.editorSchema(of: fields, kind: rawValue, "\(summary) Stands at \(pathPattern).")
    }

    /// The JSON Schema of any document that is declared like a manifest.
    static func editorSchema(of fields: [Field], kind: String, _ description: String) -> JSONValue {
        var object = record(fields)
        object["$schema"] = "http://json-schema.org/draft-07/schema#"
        object["title"] = .string("Ensign \(kind)")
        object["description"] = .string(description)
        return .object(object)
    }

    private static func record(_ fields: [Field]) -> JSONObject {
        var properties = JSONObject()
        for field in fields {
            var schema = schema(of: field.shape)
            var summary = field.summary
            if let standard = field.standard { summary += " Default: \(standard)." }
            schema["description"] = .string(summary)
            properties[field.name] = .object(schema)
        }
        var object: JSONObject = [
            "type": "object", "properties": .object(properties), "additionalProperties": false,
        ]
        let required = fields.filter(\.isRequired).map { JSONValue.string($0.name) }
        if !required.isEmpty { object["required"] = .array(required) }
        return object
    }

    private static func schema(of shape: Shape) -> JSONObject {
        switch shape {
        case .text(let form):
            // YAML readers turn 1.0 or 2027-06-30 into other types; Ensign takes the text as written.
            var object: JSONObject = [:]
            if let values = form.values {
                object["enum"] = .array(values.map { .string($0) })
            } else if let pattern = form.pattern {
                object["type"] = "string"
                object["pattern"] = .string(pattern)
            } else {
                object["type"] = form.takesAnyScalar ? ["string", "number", "boolean", "null"] : ["string", "number"]
            }
            return object
        case .textOr(let form, let fields):
            var object = record(fields)
            object["minProperties"] = 1
            return ["anyOf": [.object(schema(of: .text(form))), .object(object)]]
        case .oneOrMore(let form, let count):
            return [
                "anyOf": [
                    .object(schema(of: .text(form))), .object(schema(of: .list(.text(form), count: count))),
                ]
            ]
        case .integer(let range):
            return ["type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)]
        case .number(let range):
            return ["type": "number", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)]
        case .boolean: return ["type": "boolean"]
        case .booleanOr(let word): return ["enum": [true, false, .string(word)]]
        case .list(let element, let count):
            var object: JSONObject = ["type": "array", "items": .object(schema(of: element))]
            if count.lowerBound > 0 { object["minItems"] = .integer(Int64(count.lowerBound)) }
            object["maxItems"] = .integer(Int64(count.upperBound))
            return object
        case .record(let fields), .canary(let fields): return record(fields)
        case .agent(let fields):
            var object = record(fields)
            object["anyOf"] = [["required": ["model"]], ["required": ["runtime"]]]
            return object
        case .choice(let fields):
            var object = record(fields)
            object["minProperties"] = 1
            object["maxProperties"] = 1
            return object
        case .form(let forms): return ["oneOf": .array(forms.map { .object(record($0)) })]
        case .map(let keys, let values, let count):
            var object: JSONObject = [
                "type": "object", "additionalProperties": .object(schema(of: values)),
                "maxProperties": .integer(Int64(count.upperBound)),
            ]
            if count.lowerBound > 0 { object["minProperties"] = .integer(Int64(count.lowerBound)) }
            if let pattern = keys.pattern { object["propertyNames"] = ["pattern": .string(pattern)] }
            return object
        case .object: return ["type": "object"]
        case .schema, .argumentSchema: return ["type": ["object", "boolean"]]
        case .metric(let fields):
            var object = record(fields)
            object["allOf"] = .array(metricRules)
            return object
        case .margin: return ["anyOf": [["type": "number"], ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?%$"]]]
        }
    }

    /// What a metric's name implies for its other fields, as in `ShapeChecker`.
    private static var metricRules: [JSONValue] {
        func names(_ names: [MetricName]) -> JSONValue {
            ["properties": ["name": ["enum": .array(names.map { .string($0.description) })]], "required": ["name"]]
        }
        func prefix(_ prefix: String) -> JSONValue {
            ["properties": ["name": ["pattern": .string("^\(prefix)")]], "required": ["name"]]
        }
        func good(_ value: Bool) -> JSONValue { ["enum": [.bool(value)]] }
        let size: JSONValue = ["properties": ["kind": ["enum": ["distribution", "count"]]], "required": ["kind"]]
        let isRate: JSONValue = ["properties": ["kind": ["enum": ["rate"]]], "required": ["kind"]]
        let isBuiltIn = MetricName.builtIn.map(\.description).joined(separator: "|")
        return [
            [
                "if": prefix(MetricName.prometheusPrefix),
                "then": [
                    "required": ["query"], "properties": ["name": ["pattern": "^[^:]+:."]],
                    "if": size,
                    "then": ["properties": ["good": good(false)]],
                    "else": ["required": ["good"]],
                ],
                "else": [
                    "properties": [
                        "query": false, "step": false,
                        "name": ["pattern": .string("^(\(isBuiltIn)|\(MetricName.evaluationPrefix).+)$")],
                    ]
                ],
            ],
            ["if": isRate, "then": ["properties": ["margin": ["maximum": 1]]]],
            ["if": names([.success]), "then": ["properties": ["good": good(true)]]],
            [
                "if": ["anyOf": [names([.success]), prefix(MetricName.evaluationPrefix)]],
                "then": ["properties": ["kind": ["enum": ["rate"]]]],
            ],
            [
                "if": names(MetricName.builtIn.filter { $0.better == .low }),
                "then": ["properties": ["good": good(false)]],
            ],
            ["if": names(MetricName.builtIn.filter { $0.better == .low && !$0.kinds.contains(.rate) }), "then": size],
        ]
    }
}
