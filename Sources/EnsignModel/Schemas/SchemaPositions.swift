/// Where schemas are inside a schema: below which keywords, in which form.
///
/// The one place that knows it; what walks, rewrites or resolves asks here. Annotations hold no schemas, whatever they
/// look like: nothing leads into `contentSchema`, `default` or `x-...`.
package enum SchemaPositions {
    package enum Form: Sendable {
        case one
        case list
        /// A schema, or a list of them.
        case oneOrList
        case members
        /// By name, a schema or a list of names.
        case membersOrNames
    }

    private static let forms: [String: Form] = [
        "additionalItems": .one, "contains": .one, "additionalProperties": .one, "propertyNames": .one, "if": .one,
        "then": .one, "else": .one, "not": .one, "allOf": .list, "anyOf": .list, "oneOf": .list, "prefixItems": .list,
        "items": .oneOrList, "properties": .members, "patternProperties": .members, "dependentSchemas": .members,
        "$defs": .members, "definitions": .members, "dependencies": .membersOrNames,
    ]

    /// Keywords whose schemas are for values inside the value: the value at hand is smaller there.
    private static let consuming: Set<String> = [
        "items", "additionalItems", "prefixItems", "contains", "properties", "patternProperties",
        "additionalProperties", "propertyNames",
    ]

    /// The form of a keyword's value; nil for a keyword that holds no schemas.
    package static func form(of keyword: String) -> Form? { forms[keyword] }

    /// Whether what is below a keyword is held against a part of the value, not the value itself.
    package static func consumes(_ keyword: String) -> Bool { consuming.contains(keyword) }

    /// The schemas below one keyword, each with the pointer's segments from the keyword's value to it, in order.
    package static func schemas(below keyword: String, _ value: JSONValue) -> [(segments: [String], schema: JSONValue)]
    {
        switch (forms[keyword], value) {
        case (.one, _): [([], value)]
        case (.list, .array(let schemas)), (.oneOrList, .array(let schemas)):
            schemas.enumerated().map { ([String($0.offset)], $0.element) }
        case (.oneOrList, _): [([], value)]
        case (.members, .object(let members)): members.map { ([$0.key], $0.value) }
        case (.membersOrNames, .object(let members)):
            members.compactMap { $0.value.array == nil ? ([$0.key], $0.value) : nil }
        default: []
        }
    }

    /// A keyword's value with each schema in it replaced; any other value as it is.
    package static func mapping(
        _ keyword: String,
        _ value: JSONValue,
        _ each: (JSONValue) -> JSONValue
    ) -> JSONValue {
        switch (forms[keyword], value) {
        case (.one, _): each(value)
        case (.list, .array(let schemas)), (.oneOrList, .array(let schemas)): .array(schemas.map(each))
        case (.oneOrList, _): each(value)
        case (.members, .object(let members)): .object(JSONObject(members.map { ($0.key, each($0.value)) }))
        case (.membersOrNames, .object(let members)):
            .object(JSONObject(members.map { ($0.key, $0.value.array == nil ? each($0.value) : $0.value) }))
        default: value
        }
    }
}
