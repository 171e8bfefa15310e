import EnsignModel

/// The keywords that a schema may have: the checked keywords of JSON Schema's drafts 7, 2019-09 and 2020-12 that Ensign
/// checks too, and annotations. Which of them count depends on the dialect (``SchemaDialect``).
package enum SchemaKeyword: String, CaseIterable, Sendable {
    // Any value.
    case type
    case `enum`
    case const
    // Numbers.
    case multipleOf
    case maximum
    case exclusiveMaximum
    case minimum
    case exclusiveMinimum
    // Strings.
    case maxLength
    case minLength
    case pattern
    // Arrays.
    case items
    case additionalItems
    case maxItems
    case minItems
    case uniqueItems
    case contains
    case prefixItems
    case minContains
    case maxContains
    // Objects.
    case maxProperties
    case minProperties
    case required
    case properties
    case patternProperties
    case additionalProperties
    case dependencies
    case propertyNames
    case dependentRequired
    case dependentSchemas
    // Logic.
    case `if`
    case then
    case `else`
    case allOf
    case anyOf
    case oneOf
    case not
    // References.
    case ref = "$ref"
    case defs = "$defs"
    case definitions
    // Annotations. Accepted and without effect.
    case title
    case description
    case `default`
    case examples
    case format
    case comment = "$comment"
    case readOnly
    case writeOnly
    case deprecated
    case schema = "$schema"
    case id = "$id"
    case contentEncoding
    case contentMediaType
    case contentSchema
    // OpenAPI's, which say nothing that is checked.
    case discriminator
    case example

    /// What a keyword's value must be.
    enum Shape {
        case anything
        case text
        case flag
        case list
        case number
        case positiveNumber
        case count
        case pattern
        case typeNames
        case nonEmptyList
        case propertyList
        case dialect
        case identifier
        case reference
        case schema
        case nonEmptySchemaList
        case schemaOrNonEmptySchemaList
        case schemasByName
        case schemasByPattern
        case schemasOrPropertyListsByName
        case propertyListsByName
        case definitions
    }

    var shape: Shape {
        switch self {
        case .type: .typeNames
        case .enum: .nonEmptyList
        case .const, .default, .example, .discriminator, .contentSchema: .anything
        case .multipleOf: .positiveNumber
        case .maximum, .exclusiveMaximum, .minimum, .exclusiveMinimum: .number
        case .maxLength, .minLength, .maxItems, .minItems, .maxProperties, .minProperties, .minContains, .maxContains:
            .count
        case .pattern: .pattern
        case .items: .schemaOrNonEmptySchemaList
        case .additionalItems, .contains, .additionalProperties, .propertyNames, .if, .then, .else, .not: .schema
        case .uniqueItems, .readOnly, .writeOnly, .deprecated: .flag
        case .required: .propertyList
        case .properties, .dependentSchemas: .schemasByName
        case .dependentRequired: .propertyListsByName
        case .patternProperties: .schemasByPattern
        case .dependencies: .schemasOrPropertyListsByName
        case .allOf, .anyOf, .oneOf, .prefixItems: .nonEmptySchemaList
        case .ref: .reference
        case .defs, .definitions: .definitions
        case .title, .description, .format, .comment, .contentEncoding, .contentMediaType: .text
        case .examples: .list
        case .schema: .dialect
        case .id: .identifier
        }
    }

    /// Whether it keeps no value out. Definitions count: they do so only where a reference leads to them.
    var isAnnotation: Bool { SchemaAnnotations.has(rawValue) }

    /// Whether keywords beside it can make it wrong.
    var isRelatedToOthers: Bool {
        switch self {
        case .if, .then, .else, .additionalItems, .required, .minContains, .maxContains, .contains: true
        default: shape == .count || shape == .number
        }
    }

    /// The keywords that set an upper bound on the same thing, and whether either bound is exclusive.
    var upperBounds: [(SchemaKeyword, isExclusive: Bool)] {
        switch self {
        case .minimum: [(.maximum, false), (.exclusiveMaximum, true)]
        case .exclusiveMinimum: [(.maximum, true), (.exclusiveMaximum, true)]
        case .minLength: [(.maxLength, false)]
        case .minItems: [(.maxItems, false)]
        case .minProperties: [(.maxProperties, false)]
        case .minContains: [(.maxContains, false)]
        default: []
        }
    }

    private static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    /// The keyword of this name. Faster than `init(rawValue:)`, which compares one after the other.
    static func named(_ name: String) -> SchemaKeyword? { byName[name] }
}
