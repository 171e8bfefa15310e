/// A draft of JSON Schema, as far as drafts differ in what Ensign accepts.
package enum SchemaDialect: String, Sendable, Hashable, CaseIterable {
    case draft7 = "http://json-schema.org/draft-07/schema#"
    case draft2019 = "https://json-schema.org/draft/2019-09/schema"
    case draft2020 = "https://json-schema.org/draft/2020-12/schema"

    /// What `$schema` says for it. A `#` at the end makes no difference.
    package init?(label: String) {
        guard
            let dialect = Self.allCases.first(where: { dialect in
                let own = dialect.rawValue.hasSuffix("#") ? String(dialect.rawValue.dropLast()) : dialect.rawValue
                return label == own || label == own + "#"
            })
        else { return nil }
        self = dialect
    }

    package var label: String { rawValue }

    /// The name for people: `draft 7`.
    package var name: String {
        switch self {
        case .draft7: "draft 7"
        case .draft2019: "draft 2019-09"
        case .draft2020: "draft 2020-12"
        }
    }

    /// Whether what is beside `$ref` counts too. Draft 7 ignores it.
    package var readsBesideReference: Bool { self != .draft7 }

    /// Whether validators of this dialect hold values against the keyword. `nil`: it is in no dialect, or in all.
    package func checks(_ keyword: String) -> Bool? {
        switch keyword {
        case "dependencies": self == .draft7
        case "additionalItems": self != .draft2020
        case "prefixItems": self == .draft2020
        case "dependentRequired", "dependentSchemas", "minContains", "maxContains": self != .draft7
        default: nil
        }
    }
}

/// How a schema is to be read: what its label says or, without one, what its vocabulary shows.
package struct SchemaReading: Sendable, Hashable {
    /// The dialect that the schema is read by. Draft 7 where nothing depends on it.
    package let dialect: SchemaDialect
    /// Whether `$schema` names the dialect.
    package let isLabelled: Bool
    /// Whether it means the same in each dialect.
    package let isNeutral: Bool
    /// A keyword of draft 7 alone that it uses, and one of the later drafts. Without a label it must not have both.
    package let ofDraft7: String?
    package let ofLaterDrafts: String?

    /// Reads the vocabulary. Total; linear in the size.
    package init(of schema: JSONValue) {
        var walk = Walk()
        walk.visit(schema, depth: 0)
        ofDraft7 = walk.ofDraft7
        ofLaterDrafts = walk.ofLaterDrafts
        let label = schema["$schema"]?.string.flatMap { SchemaDialect(label: $0) }
        isLabelled = label != nil
        dialect = label ?? (walk.ofLaterDrafts == nil ? .draft7 : .draft2020)
        isNeutral = walk.ofDraft7 == nil && walk.ofLaterDrafts == nil && !walk.hasMoreBesideReference
    }

    private struct Walk {
        var ofDraft7: String?
        var ofLaterDrafts: String?
        var hasMoreBesideReference = false

        mutating func visit(_ schema: JSONValue, depth: Int) {
            guard depth < 512, let keywords = schema.object else { return }
            if keywords["$ref"] != nil, !hasMoreBesideReference {
                hasMoreBesideReference = keywords.contains { $0.key != "$ref" && !SchemaAnnotations.has($0.key) }
            }
            for (keyword, value) in keywords {
                switch keyword {
                case "dependencies", "additionalItems": ofDraft7 = ofDraft7 ?? keyword
                case "items" where value.array != nil: ofDraft7 = ofDraft7 ?? "items"
                case "prefixItems", "dependentRequired", "dependentSchemas", "minContains", "maxContains":
                    ofLaterDrafts = ofLaterDrafts ?? keyword
                default: break
                }
                for inner in SchemaPositions.schemas(below: keyword, value) { visit(inner.schema, depth: depth + 1) }
            }
        }
    }
}

/// Keywords that no value is held against: for people, for models, for other programs.
package enum SchemaAnnotations {
    private static let names: Set<String> = [
        "title", "description", "default", "examples", "example", "format", "$comment", "readOnly", "writeOnly",
        "deprecated", "$schema", "$id", "definitions", "$defs", "contentEncoding", "contentMediaType", "contentSchema",
        "discriminator",
    ]

    /// Whether a keyword keeps no value out. Definitions count: they do so only where a reference leads to them.
    package static func has(_ keyword: String) -> Bool { names.contains(keyword) || isExtension(keyword) }

    /// Whether a keyword is somebody's own, `x-...`: no draft will ever check it.
    package static func isExtension(_ keyword: String) -> Bool { keyword.hasPrefix("x-") && keyword.utf8.count > 2 }
}
