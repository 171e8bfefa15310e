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

/// The most names that are compared in search of what was meant, in one schema: one problem is enough to need them all.
private let comparisonLimit = 2_000

private struct SchemaLinter {
    let root: JSONValue
    let reading: SchemaReading
    var problems: [SchemaProblem] = []
    var path: [String] = []
    var references = SchemaReferenceGraph()
    private var comparisons = comparisonLimit

    init(root: JSONValue) {
        self.root = root
        reading = SchemaReading(of: root)
    }

    mutating func lint() -> [SchemaProblem] {
        if !reading.isLabelled { lintVocabulary() }
        lint(root, depth: 1)
        problems += references.problems()
        return Array(problems.prefix(problemLimit))
    }

    /// Without a label, readers take a schema for draft 7 or, as MCP does, for 2020-12.
    private mutating func lintVocabulary() {
        guard let old = reading.ofDraft7 else { return }
        if let new = reading.ofLaterDrafts {
            report(
                .ignoredKeyword,
                "'\(old)' as it is here is of draft 7, and '\(new)' of later drafts: '$schema' must say which counts"
            )
        } else {
            report(
                .unlabelledDialect,
                "'\(old)' as it is here is of draft 7, and readers may take a schema without '$schema' for 2020-12"
            )
        }
    }

    // MARK: Schemas

    private mutating func lint(_ schema: JSONValue, depth: Int) {
        guard problems.count < problemLimit else { return }
        switch schema {
        case .bool: break
        case .object(let keywords):
            guard depth <= schemaDepthLimit else {
                report(.tooDeep, "nested more than \(schemaDepthLimit) schemas deep")
                return
            }
            lint(keywords, depth: depth)
        default:
            report(.invalidValue, "a schema is an object or a boolean, not \(schema.kindWithArticle)")
        }
    }

    private mutating func lint(_ keywords: JSONObject, depth: Int) {
        let ignoresOthers = keywords[SchemaKeyword.ref.rawValue] != nil && !reading.dialect.readsBesideReference
        var related: [SchemaKeyword] = []
        for (name, value) in keywords where problems.count < problemLimit {
            path.append(name)
            defer { path.removeLast() }
            guard let keyword = SchemaKeyword.named(name) else {
                if !SchemaAnnotations.isExtension(name) {
                    reportUnknown(name)
                } else if !value.isFinite {
                    report(.invalidValue, "must not contain NaN or infinity")
                }
                continue
            }
            if ignoresOthers, !keyword.isAnnotation, keyword.shape != .reference {
                report(.ignoredKeyword, "'\(name)' beside '$ref' is ignored in draft 7: put both into 'allOf'")
            }
            lintDialect(of: keyword)
            if keyword.isRelatedToOthers { related.append(keyword) }
            lint(keyword, value, depth: depth)
        }
        if !related.isEmpty { lintCombinations(of: related, in: keywords) }
    }

    /// A keyword that the schema's dialect does not have is ignored by its validators.
    private mutating func lintDialect(of keyword: SchemaKeyword) {
        guard reading.isLabelled, reading.dialect.checks(keyword.rawValue) == false else { return }
        let others = SchemaDialect.allCases.filter { $0.checks(keyword.rawValue) == true }.map(\.name)
        report(
            .ignoredKeyword,
            "'\(keyword.rawValue)' is of \(others.joined(separator: " and ")), and ignored in \(reading.dialect.name), "
                + "which '$schema' names",
            suggestion: Self.replacement(of: keyword, in: reading.dialect)
        )
    }

    private static func replacement(of keyword: SchemaKeyword, in dialect: SchemaDialect) -> String? {
        switch keyword {
        case .dependencies: "dependentRequired"
        case .dependentRequired, .dependentSchemas: "dependencies"
        case .prefixItems: "items"
        case .additionalItems: "items"
        default: nil
        }
    }

    private mutating func lint(_ keyword: SchemaKeyword, _ value: JSONValue, depth: Int) {
        switch keyword.shape {
        case .anything: if !value.isFinite { report(.invalidValue, "must not contain NaN or infinity") }
        case .text: if value.string == nil { reportType("a string", value) }
        case .flag: if value.bool == nil { reportType("a boolean", value) }
        case .list: if value.array == nil { reportType("an array", value) }
        case .number: lintBound(keyword, value)
        case .positiveNumber: lintPositiveNumber(value)
        case .count:
            if value.int.map({ $0 < 0 }) ?? true { reportType("a whole number that is not negative", value) }
        case .pattern:
            if case .string(let pattern) = value { lintPattern(pattern) } else { reportType("a string", value) }
        case .typeNames: lintTypeNames(value)
        case .nonEmptyList: lintEnum(value)
        case .propertyList: lintPropertyList(value)
        case .dialect: lintLabel(value)
        case .identifier: lintIdentifier(value)
        case .reference: lintReference(value)
        case .schema: lint(value, depth: depth + 1)
        case .nonEmptySchemaList: lintSchemaList(value, depth: depth)
        case .schemaOrNonEmptySchemaList: lintItems(value, depth: depth)
        case .schemasByName, .schemasByPattern, .schemasOrPropertyListsByName, .propertyListsByName:
            lintMembers(value, of: keyword.shape, depth: depth)
        // What is defined at the root begins anew: references lead there from anywhere.
        case .definitions: lintMembers(value, of: .schemasByName, depth: path.count == 1 ? 0 : depth)
        }
    }

    private mutating func lintItems(_ value: JSONValue, depth: Int) {
        guard case .array = value else { return lint(value, depth: depth + 1) }
        if reading.dialect.checks(SchemaKeyword.prefixItems.rawValue) == true {
            let name = reading.dialect.name
            return report(
                .invalidValue,
                "in \(name) 'items' is one schema",
                suggestion: SchemaKeyword.prefixItems.rawValue
            )
        }
        lintSchemaList(value, depth: depth)
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
            switch (shape, value) {
            case (.propertyListsByName, _), (.schemasOrPropertyListsByName, .array): lintPropertyList(value)
            default: lint(value, depth: depth + 1)
            }
            path.removeLast()
        }
    }

    // MARK: Values of keywords

    private mutating func lintBound(_ keyword: SchemaKeyword, _ value: JSONValue) {
        switch value {
        case .integer(let integer) where Double(exactly: integer) == nil:
            // One that keeps nothing out is clamped when the schema is used.
            if SchemaTranslation.clamped(keyword.rawValue, value) != nil { return }
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

    private mutating func lintLabel(_ value: JSONValue) {
        if path.count > 1 { report(.refusedKeyword, "'$schema' is only allowed at the root of the schema") }
        if case .string(let label) = value, SchemaDialect(label: label) != nil { return }
        let names = SchemaDialect.allCases.map(\.name).joined(separator: ", ")
        report(.invalidValue, "the dialect is none of \(names)", suggestion: SchemaDialect.draft2020.label)
    }

    /// At the root an identifier changes nothing: references lead into the document, by pointer.
    private mutating func lintIdentifier(_ value: JSONValue) {
        guard path.count == 1 else {
            return report(.refusedKeyword, "'$id' is only allowed at the root of the schema: references are pointers")
        }
        guard case .string(let text) = value else { return reportType("a string", value) }
        if text.utf8.contains(UInt8(ascii: "#")) || text.isEmpty {
            report(.invalidValue, "must be an address without '#'")
        }
    }

    private mutating func lintReference(_ value: JSONValue) {
        guard case .string(let text) = value else { return reportType("a string", value) }
        guard let reference = SchemaReference(text) else {
            return report(
                .invalidReference,
                "\(text.quotedExcerpt) does not lead into this schema: references are pointers such as '#/$defs/<name>'"
            )
        }
        guard reference.target(in: root) != nil else {
            return report(
                .invalidReference,
                "there is no schema at \(text.quotedExcerpt) in this document",
                suggestion: suggestion(for: reference)
            )
        }
        references.add(from: path, to: reference)
    }

    /// A definition of a name like the last one, wherever at the root it is.
    private func suggestion(for reference: SchemaReference) -> String? {
        guard let name = reference.segments.last else { return nil }
        let containers = SchemaReference.containers.sorted { left, _ in left == reference.segments.first }
        for container in containers {
            let definitions = root[container]?.object ?? [:]
            if let found = closestMatch(to: name, among: definitions.lazy.map(\.key))
                ?? definitions[name].map({ _ in name })
            {
                return SchemaReference(segments: [container, found]).text
            }
        }
        return nil
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
        for bound in present where bound == .minContains || bound == .maxContains {
            if present.contains(.contains) { continue }
            report(.ignoredKeyword, "'\(bound.rawValue)' without 'contains' is ignored", at: bound)
        }
        if present.contains(.additionalItems), reading.dialect.checks("additionalItems") == true,
            keywords[SchemaKeyword.items.rawValue]?.array == nil
        {
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
            let meant = closestMatch(to: name, among: properties.lazy.map(\.key), effort: &comparisons)
            report(
                .contradiction,
                "\(name.quotedExcerpt) is required, but neither in 'properties' nor allowed beside them",
                suggestion: meant
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

    /// Keywords of JSON Schema and of OpenAPI that are not supported, with what to write instead.
    private static let counterparts: [String: String?] = [
        "$anchor": nil, "$dynamicAnchor": nil, "$dynamicRef": nil, "$recursiveAnchor": nil, "$recursiveRef": nil,
        "$vocabulary": nil, "disallow": "not", "divisibleBy": "multipleOf", "extends": "allOf", "nullable": "type",
        "optional": "required", "unevaluatedItems": "items", "unevaluatedProperties": "additionalProperties",
    ]

    private mutating func reportUnknown(_ name: String) {
        if name == "id" {
            report(.refusedKeyword, "'id' is not supported: references are pointers such as '#/$defs/<name>'")
        } else if let counterpart = Self.counterparts[name] {
            report(.unknownKeyword, "'\(name)' is not supported", suggestion: counterpart)
        } else {
            let known = SchemaKeyword.allCases.lazy.map(\.rawValue)
            let meant = closestMatch(to: name, among: known, effort: &comparisons)
            report(.unknownKeyword, "unknown keyword \(name.quotedExcerpt)", suggestion: meant)
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
