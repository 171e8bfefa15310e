package import EnsignModel

/// Returns what is wrong with a schema, in the order of discovery; empty for a schema that means what it says.
///
/// A schema without errors, ``SchemaProblem/Severity/error``, always compiles (``JSONSchema/init(_:)``). Total: any value
/// is accepted, time is about linear in its size, recursion is bounded. At most 100 problems are returned.
package func lintSchema(_ schema: JSONValue) -> [SchemaProblem] {
    var linter = SchemaLinter(root: schema)
    return linter.lint()
}

/// The most schemas within one another, references followed. valijson and its evaluation recurse on it.
let schemaDepthLimit = 64

private let problemLimit = 100

private struct SchemaLinter {
    let root: JSONValue
    var problems: [SchemaProblem] = []
    var path: [String] = []
    var references = SchemaReferenceGraph()
    /// The definition that is being linted. `nil`: the root.
    var definition: SchemaReference?

    init(root: JSONValue) { self.root = root }

    mutating func lint() -> [SchemaProblem] {
        lint(root, depth: 1)
        if case .object(let keywords) = root {
            for container in [SchemaKeyword.defs, .definitions] {
                guard case .object(let definitions)? = keywords[container.rawValue] else { continue }
                for (name, schema) in definitions where problems.count < problemLimit {
                    definition = SchemaReference(container: container.rawValue, name: name)
                    path = [container.rawValue]
                    lintName(name)
                    path.append(name)
                    lint(schema, depth: 1)
                }
            }
        }
        problems += references.problems()
        return Array(problems.prefix(problemLimit))
    }

    // MARK: Schemas

    private mutating func lint(_ schema: JSONValue, depth: Int) {
        guard problems.count < problemLimit else { return }
        switch schema {
        case .bool:
            references.reach(depth, in: definition)
        case .object(let keywords):
            guard depth <= schemaDepthLimit else {
                report(.tooDeep, "nested more than \(schemaDepthLimit) schemas deep")
                return
            }
            references.reach(depth, in: definition)
            lint(keywords, depth: depth)
        default:
            report(.invalidValue, "a schema is an object or a boolean, not \(schema.kindWithArticle)")
        }
    }

    private mutating func lint(_ keywords: JSONObject, depth: Int) {
        let isReference = keywords[SchemaKeyword.ref.rawValue] != nil
        var related: [SchemaKeyword] = []
        for (name, value) in keywords where problems.count < problemLimit {
            path.append(name)
            defer { path.removeLast() }
            guard let keyword = SchemaKeyword.named(name) else {
                reportUnknown(name)
                continue
            }
            if isReference, !keyword.isAnnotation, keyword.shape != .reference, keyword.shape != .definitions {
                report(.ignoredKeyword, "'\(name)' beside '$ref' is ignored in draft 7: put both into 'allOf'")
            }
            if keyword.isRelatedToOthers { related.append(keyword) }
            lint(keyword, value, depth: depth)
        }
        if !related.isEmpty { lintCombinations(of: related, in: keywords) }
    }

    private mutating func lint(_ keyword: SchemaKeyword, _ value: JSONValue, depth: Int) {
        switch keyword.shape {
        case .anything: if !value.isFinite { report(.invalidValue, "must not contain NaN or infinity") }
        case .text: if value.string == nil { reportType("a string", value) }
        case .flag: if value.bool == nil { reportType("a boolean", value) }
        case .list: if value.array == nil { reportType("an array", value) }
        case .number: lintNumber(value)
        case .positiveNumber: lintPositiveNumber(value)
        case .count:
            if value.int.map({ $0 < 0 }) ?? true { reportType("a whole number that is not negative", value) }
        case .pattern:
            if case .string(let pattern) = value { lintPattern(pattern) } else { reportType("a string", value) }
        case .typeNames: lintTypeNames(value)
        case .nonEmptyList: lintEnum(value)
        case .propertyList: lintPropertyList(value)
        case .dialect: lintDialect(value)
        case .reference: lintReference(value, depth: depth)
        case .schema: lint(value, depth: depth + 1)
        case .nonEmptySchemaList: lintSchemaList(value, depth: depth)
        case .schemaOrNonEmptySchemaList:
            if case .array = value { lintSchemaList(value, depth: depth) } else { lint(value, depth: depth + 1) }
        case .schemasByName, .schemasByPattern, .schemasOrPropertyListsByName:
            lintMembers(value, of: keyword.shape, depth: depth)
        case .definitions:
            // Those at the root are linted one by one.
            if path.count > 1 {
                report(.refusedKeyword, "'\(keyword.rawValue)' is only allowed at the root of the schema")
            } else if value.object == nil {
                reportType("an object", value)
            }
        }
    }

    private mutating func lintSchemaList(_ value: JSONValue, depth: Int) {
        guard case .array(let schemas) = value else { return reportType("an array of schemas", value) }
        if schemas.isEmpty { report(.invalidValue, "must not be empty") }
        for (index, schema) in schemas.enumerated() {
            path.append(String(index))
            lint(schema, depth: depth + 1)
            path.removeLast()
        }
    }

    private mutating func lintMembers(_ value: JSONValue, of shape: SchemaKeyword.Shape, depth: Int) {
        guard case .object(let members) = value else { return reportType("an object", value) }
        for (name, value) in members {
            guard problems.count < problemLimit else { return }
            path.append(name)
            if shape == .schemasByPattern { lintPattern(name) } else { lintName(name) }
            if shape == .schemasOrPropertyListsByName, case .array = value {
                lintPropertyList(value)
            } else {
                lint(value, depth: depth + 1)
            }
            path.removeLast()
        }
    }

    // MARK: Values of keywords

    private mutating func lintNumber(_ value: JSONValue) {
        switch value {
        case .integer(let integer) where Double(exactly: integer) == nil:
            report(.invalidValue, "\(integer) is beyond 2^53 and has no exact double, with which numbers are compared")
        case .integer: break
        case .number(let number) where number.isFinite: break
        default: reportType("a number", value)
        }
    }

    private mutating func lintPositiveNumber(_ value: JSONValue) {
        if let number = value.double, number.isFinite {
            if number <= 0 { report(.invalidValue, "must be more than 0") }
        } else {
            reportType("a number", value)
        }
    }

    private mutating func lintPattern(_ pattern: String) {
        if let error = PatternError(in: pattern) {
            report(.invalidPattern, "the pattern does not compile: \(error.message), at character \(error.column)")
        }
    }

    /// Names reach valijson as C strings.
    private mutating func lintName(_ name: String) {
        if name.utf8.contains(0) { report(.invalidValue, "\(name.quotedExcerpt) contains a NUL character") }
    }

    private static let typeNames = ["array", "boolean", "integer", "null", "number", "object", "string"]

    /// What other languages call the types.
    private static let typeAliases = [
        "bool": "boolean", "date": "string", "dict": "object", "double": "number", "float": "number",
        "int": "integer", "list": "array", "long": "integer", "map": "object", "nil": "null", "none": "null",
        "str": "string", "text": "string",
    ]

    private mutating func lintTypeNames(_ value: JSONValue) {
        switch value {
        case .string(let name):
            lintTypeName(name)
        case .array(let names):
            if names.isEmpty { report(.invalidValue, "must not be empty") }
            var seen: Set<String> = []
            for (index, name) in names.enumerated() where problems.count < problemLimit {
                path.append(String(index))
                if case .string(let name) = name {
                    lintTypeName(name)
                    if !seen.insert(name).inserted { report(.invalidValue, "\(name.quotedExcerpt) is repeated") }
                } else {
                    reportType("the name of a type", name)
                }
                path.removeLast()
            }
        default:
            reportType("the name of a type or an array of them", value)
        }
    }

    private mutating func lintTypeName(_ name: String) {
        if Self.typeNames.contains(name) { return }
        let lowercased = name.utf8.count < 65 ? name.lowercased() : name
        report(
            .invalidValue,
            "there is no type \(name.quotedExcerpt); there are \(Self.typeNames.joined(separator: ", "))",
            suggestion: Self.typeAliases[lowercased] ?? closestMatch(to: lowercased, among: Self.typeNames)
        )
    }

    private mutating func lintEnum(_ value: JSONValue) {
        guard case .array(let values) = value else { return reportType("an array", value) }
        if values.isEmpty { report(.invalidValue, "must not be empty: nothing would be valid") }
        guard values.allSatisfy(\.isFinite) else { return report(.invalidValue, "must not contain NaN or infinity") }
        var seen: Set<JSONValue> = []
        for (index, value) in values.enumerated() where !seen.insert(value).inserted {
            path.append(String(index))
            report(.contradiction, "the value is repeated")
            path.removeLast()
            if problems.count >= problemLimit { return }
        }
    }

    private mutating func lintPropertyList(_ value: JSONValue) {
        guard case .array(let names) = value else { return reportType("an array of property names", value) }
        var seen: Set<JSONValue> = []
        for (index, name) in names.enumerated() where problems.count < problemLimit {
            path.append(String(index))
            if case .string(let text) = name {
                lintName(text)
                if !seen.insert(name).inserted { report(.invalidValue, "\(text.quotedExcerpt) is repeated") }
            } else {
                reportType("a property name", name)
            }
            path.removeLast()
        }
    }

    private mutating func lintDialect(_ value: JSONValue) {
        if path.count > 1 { report(.refusedKeyword, "'$schema' is only allowed at the root of the schema") }
        let dialects = ["http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema"]
        if case .string(let dialect) = value, dialects.contains(dialect) { return }
        report(.invalidValue, "only draft 7 is supported", suggestion: dialects[0])
    }

    private mutating func lintReference(_ value: JSONValue, depth: Int) {
        guard case .string(let text) = value else { return reportType("a string", value) }
        guard let reference = SchemaReference(text) else {
            return report(
                .invalidReference,
                "\(text.quotedExcerpt) is neither '#/$defs/<name>' nor '#/definitions/<name>'"
            )
        }
        let definitions = root[reference.container]?.object
        guard definitions?[reference.name] != nil else {
            return report(
                .invalidReference,
                "there is no \(reference.name.quotedExcerpt) in '\(reference.container)' at the root",
                suggestion: closestMatch(to: reference.name, among: (definitions ?? [:]).lazy.map(\.key))
                    .map { "#/\(reference.container)/\($0)" }
            )
        }
        references.add(from: definition, to: reference, depth: depth, pointer: path)
    }

    // MARK: Keywords together

    /// Checks those keywords of a schema that others beside them can make wrong.
    private mutating func lintCombinations(of present: [SchemaKeyword], in keywords: JSONObject) {
        for branch in present where (branch == .then || branch == .else) && !present.contains(.if) {
            report(.ignoredKeyword, "'\(branch.rawValue)' without 'if' is ignored", at: branch)
        }
        if present.contains(.if), !present.contains(.then), !present.contains(.else) {
            report(.contradiction, "'if' without 'then' and 'else' does nothing", at: .if)
        }
        if present.contains(.additionalItems), keywords[SchemaKeyword.items.rawValue]?.array == nil {
            report(.ignoredKeyword, "'additionalItems' is ignored unless 'items' is an array", at: .additionalItems)
        }
        for lower in present {
            for (upper, isExclusive) in lower.upperBounds where present.contains(upper) {
                guard let least = keywords[lower.rawValue]?.double, let most = keywords[upper.rawValue]?.double else {
                    continue
                }
                if isExclusive, least >= most {
                    report(
                        .contradiction,
                        "no number is between '\(lower.rawValue)' and '\(upper.rawValue)'",
                        at: lower
                    )
                } else if least > most {
                    report(.contradiction, "'\(lower.rawValue)' is more than '\(upper.rawValue)'", at: lower)
                }
            }
        }
        if present.contains(.required) { lintRequired(of: keywords) }
    }

    /// A required property that may not be there: usually a misspelt one.
    private mutating func lintRequired(of keywords: JSONObject) {
        guard
            keywords[SchemaKeyword.additionalProperties.rawValue] == false,
            keywords[SchemaKeyword.patternProperties.rawValue] == nil,
            case .array(let required)? = keywords[SchemaKeyword.required.rawValue]
        else { return }
        let properties = keywords[SchemaKeyword.properties.rawValue]?.object ?? [:]
        for (index, name) in required.enumerated() where problems.count < problemLimit {
            guard case .string(let name) = name, properties[name] == nil else { continue }
            path += [SchemaKeyword.required.rawValue, String(index)]
            report(
                .contradiction,
                "\(name.quotedExcerpt) is required, but neither in 'properties' nor allowed beside them",
                suggestion: closestMatch(to: name, among: properties.lazy.map(\.key))
            )
            path.removeLast(2)
        }
    }

    // MARK: Reporting

    private mutating func report(
        _ code: SchemaProblem.Code,
        _ message: String,
        at keyword: SchemaKeyword? = nil,
        suggestion: String? = nil
    ) {
        problems.append(
            SchemaProblem(
                pointer: keyword.map { path + [$0.rawValue] } ?? path,
                code: code,
                message: message,
                suggestion: suggestion
            )
        )
    }

    private mutating func reportType(_ expected: String, _ value: JSONValue) {
        report(.invalidValue, "expected \(expected), got \(value.kindWithArticle)")
    }

    /// Keywords of other drafts and of OpenAPI, with their draft-7 counterparts.
    private static let counterparts: [String: String?] = [
        "$anchor": nil, "$dynamicAnchor": nil, "$dynamicRef": nil, "$recursiveAnchor": nil, "$recursiveRef": nil,
        "$vocabulary": nil, "contentEncoding": nil, "contentMediaType": nil, "contentSchema": nil,
        "dependentRequired": "dependencies", "dependentSchemas": "dependencies", "disallow": "not",
        "discriminator": "oneOf", "divisibleBy": "multipleOf", "example": "examples", "extends": "allOf",
        "maxContains": nil, "minContains": nil, "nullable": "type", "optional": "required", "prefixItems": "items",
        "unevaluatedItems": "additionalItems", "unevaluatedProperties": "additionalProperties",
    ]

    private mutating func reportUnknown(_ name: String) {
        if name == "$id" || name == "id" {
            report(.refusedKeyword, "'\(name)' is not supported: references lead to '$defs' and 'definitions' only")
        } else if let counterpart = Self.counterparts[name] {
            report(.unknownKeyword, "'\(name)' is not supported", suggestion: counterpart)
        } else {
            report(
                .unknownKeyword,
                "unknown keyword \(name.quotedExcerpt)",
                suggestion: closestMatch(to: name, among: SchemaKeyword.allCases.lazy.map(\.rawValue))
            )
        }
    }
}

extension JSONValue {
    fileprivate var kindWithArticle: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer, .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    fileprivate var isFinite: Bool {
        switch self {
        case .number(let value): value.isFinite
        case .array(let elements): elements.allSatisfy(\.isFinite)
        case .object(let members): members.allSatisfy(\.value.isFinite)
        default: true
        }
    }
}
