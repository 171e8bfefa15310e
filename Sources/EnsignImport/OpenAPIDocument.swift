package import EnsignModel

/// A description of an HTTP interface (OpenAPI 3.0 and 3.1) as operations: parameters and body of each in one schema.
///
/// Pure and total. References are followed within the document only.
package struct OpenAPIDocument: Sendable {
    package private(set) var operations: [OfferedOperation] = []
    package private(set) var decisions: [ImportDecision] = []
    package private(set) var version: String?
    package private(set) var title = ""
    /// The addresses that it names.
    package private(set) var servers: [String] = []

    private let root: JSONValue
    /// Whether schemas are of 3.0: OpenAPI's own dialect, close to draft 5.
    private let isOld: Bool

    /// The most operations that are read.
    private static let most = 5_000

    /// - Throws: ``ForeignDocumentError`` when it is not such a description.
    package init(_ root: JSONValue) throws(ForeignDocumentError) {
        self.root = root
        guard let claimed = root["openapi"]?.string, claimed.hasPrefix("3.0") || claimed.hasPrefix("3.1") else {
            let what =
                root["swagger"] == nil ? "'openapi' is not 3.0 or 3.1" : "it is of Swagger 2: convert it to OpenAPI 3"
            throw ForeignDocumentError(description: what)
        }
        isOld = claimed.hasPrefix("3.0")
        title = root["info"]?["title"]?.string ?? ""
        version = root["info"]?["version"]?.string
        servers = (root["servers"]?.array ?? []).compactMap { $0["url"]?.string }
        let work = SchemaWork()
        for (path, item) in root["paths"]?.object ?? [:] {
            guard let item = resolved(item), item.object != nil else {
                decisions.append(ImportDecision(.leftOut, path, Self.unresolved(item)))
                continue
            }
            for method in Self.methods {
                guard let operation = item[method], operation.object != nil, operations.count < Self.most else {
                    continue
                }
                add(operation, path, method, item, work)
            }
        }
        noteServers()
    }

    private static let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

    private mutating func noteServers() {
        let named = servers.isEmpty ? "" : " (\(servers.prefix(3).joined(separator: ", ")))"
        let why = "a manifest has MCP servers only: name the one that makes these calls\(named)"
        decisions.append(ImportDecision(.look, "server", why))
        let secured = root["components"]?["securitySchemes"]?.object?.map(\.key) ?? []
        if !secured.isEmpty {
            let names = secured.prefix(5).joined(separator: ", ")
            decisions.append(ImportDecision(.look, "credentials", "it wants \(names): say where they are kept"))
        }
    }

    // MARK: One operation

    private mutating func add(
        _ operation: JSONValue,
        _ path: String,
        _ method: String,
        _ item: JSONValue,
        _ work: SchemaWork
    ) {
        let name = Self.name(operation["operationId"]?.string, method, path)
        var builder = SchemaBuilder(root: root, isOld: isOld, work: work)
        var properties = JSONObject()
        var required: [JSONValue] = []
        var problem: String?
        var missing = Self.variables(path)
        for parameter in parameters(item, operation) {
            guard let own = parameter["name"]?.string, let place = parameter["in"]?.string else {
                problem = problem ?? (parameter["$ref"] == nil ? "a parameter has no name" : Self.unresolved(parameter))
                continue
            }
            if place == "path" { missing.remove(own) }
            if place == "header", ["accept", "content-type", "authorization"].contains(own.lowercased()) { continue }
            let key = properties[own] == nil ? own : "\(place)_\(own)"
            var schema = parameter["schema"] ?? Self.content(parameter["content"]) ?? [:]
            if let text = parameter["description"]?.string, schema["description"] == nil,
                case .object(var keywords) = schema,
                keywords["$ref"] == nil
            {
                keywords["description"] = .string(text)
                schema = .object(keywords)
            }
            properties[key] = builder.schema(schema)
            if parameter["required"] == true || place == "path" { required.append(.string(key)) }
        }
        let body = operation["requestBody"].map { resolved($0) ?? $0 }
        if let body, body["$ref"] != nil { problem = problem ?? Self.unresolved(body) }
        if let name = missing.min() { problem = problem ?? "its path has {\(name)}, which is no parameter" }
        if let body, let schema = Self.content(body["content"]) {
            let key = properties["body"] == nil ? "body" : "request_body"
            properties[key] = builder.schema(schema)
            if body["required"] == true { required.append(.string(key)) }
        }
        var input: JSONObject = ["type": "object", "properties": .object(properties), "additionalProperties": false]
        if !required.isEmpty { input["required"] = .array(required) }
        let whole = builder.finish(.object(input))
        problem = problem ?? builder.problem
        var output: JSONValue?
        if let (schema, begun) = self.output(operation, work) {
            var builder = begun
            output = builder.finish(schema)
            problem = problem ?? builder.problem
        }
        let texts = [operation["summary"]?.string, operation["description"]?.string].compactMap { $0 }
        let description = texts.filter { !$0.isEmpty }.joined(separator: "\n\n")
        if let problem {
            decisions.append(ImportDecision(.leftOut, name, problem))
            return
        }
        operations.append(
            OfferedOperation(
                name: name,
                description: description.isEmpty ? "\(method.uppercased()) \(path)" : description,
                input: whole,
                output: output,
                method: method
            )
        )
    }

    private func output(_ operation: JSONValue, _ work: SchemaWork) -> (JSONValue, SchemaBuilder)? {
        let responses = operation["responses"]?.object ?? [:]
        let codes = ["200", "201", "202", "2XX", "2xx", "default"]
        guard let response = codes.lazy.compactMap({ responses[$0] }).first,
            let schema = Self.content((resolved(response) ?? response)["content"])
        else { return nil }
        var builder = SchemaBuilder(root: root, isOld: isOld, work: work)
        return (builder.schema(schema), builder)
    }

    /// Why what stands at a reference is not known.
    private static func unresolved(_ value: JSONValue) -> String {
        "it leads to nothing in this file: \((value["$ref"]?.string ?? value.text).quoted(utf8: 100))"
    }

    /// What a path leaves open: `id` of `/users/{id}`.
    private static func variables(_ path: String) -> Set<String> {
        Set(path.split(separator: "{").dropFirst().compactMap { $0.split(separator: "}").first.map(String.init) })
    }

    /// The parameters of the path and of the operation; the operation's own count where both name one.
    private func parameters(_ item: JSONValue, _ operation: JSONValue) -> [JSONValue] {
        var found: [(key: String, value: JSONValue)] = []
        for list in [item["parameters"], operation["parameters"]] {
            for entry in list?.array ?? [] {
                let value = resolved(entry) ?? entry
                let key = "\(value["in"]?.string ?? "")/\(value["name"]?.string ?? "")"
                if let index = found.firstIndex(where: { $0.key == key }) {
                    found[index].value = value
                } else {
                    found.append((key, value))
                }
            }
        }
        return found.map(\.value)
    }

    private static func content(_ content: JSONValue?) -> JSONValue? {
        guard let types = content?.object else { return nil }
        let json =
            types.first { $0.key == "application/json" } ?? types.first { $0.key.contains("json") } ?? types.first
        return json?.value["schema"]
    }

    /// What a reference leads to; nil for what is none. Chains are followed a little.
    private func resolved(_ value: JSONValue) -> JSONValue? {
        var value = value
        for _ in 0..<8 {
            guard let text = value["$ref"]?.string else { return value }
            guard let reference = SchemaReference(text) else { return nil }
            var target = root
            for segment in reference.segments {
                guard let next = target[segment] else { return nil }
                target = next
            }
            value = target
        }
        return nil
    }

    private static func name(_ id: String?, _ method: String, _ path: String) -> String {
        if let id, OperationName.isValid(id) { return id }
        var name = method + "_"
        for scalar in (id ?? path).unicodeScalars {
            let isPlain = scalar.isASCII && OperationName.isValid(String(scalar))
            if isPlain { name.unicodeScalars.append(scalar) } else if !name.hasSuffix("_") { name += "_" }
        }
        while name.hasSuffix("_") { name.removeLast() }
        return String(name.prefix(128))
    }
}

/// How much may be read of a description's schemas, all operations together: a definition is read for each that uses it.
private final class SchemaWork {
    /// No manifest has as many values.
    var left = 200_000
}

/// One schema of an interface's description as a schema by itself: definitions that it uses come along.
private struct SchemaBuilder {
    let root: JSONValue
    let isOld: Bool
    let work: SchemaWork
    /// Why it cannot be by itself.
    private(set) var problem: String?
    private var wanted: [String] = []
    private var known: Set<String> = []

    init(root: JSONValue, isOld: Bool, work: SchemaWork) {
        self.root = root
        self.isOld = isOld
        self.work = work
    }

    /// The schema with the definitions that it leads to; look at ``problem`` after it.
    mutating func finish(_ schema: JSONValue) -> JSONValue {
        var definitions = JSONObject()
        var index = 0
        while index < wanted.count, problem == nil {
            definitions[wanted[index]] = self.schema(root["components"]?["schemas"]?[wanted[index]] ?? true)
            index += 1
        }
        guard case .object(var keywords) = schema else { return schema }
        if !definitions.isEmpty { keywords["$defs"] = .object(definitions) }
        let whole = JSONValue.object(keywords)
        // What 3.1 has is 2020-12's, and says so where that matters.
        guard !isOld, !SchemaReading(of: whole).isNeutral else { return whole }
        keywords["$schema"] = .string(SchemaDialect.draft2020.label)
        return .object(keywords)
    }

    mutating func schema(_ schema: JSONValue) -> JSONValue {
        guard case .object(let keywords) = schema else { return schema }
        work.left -= 1
        guard work.left > 0 else {
            problem =
                problem
                ?? "with its definitions, and with the operations before it, it is more than a manifest may have"
            return true
        }
        var result = JSONObject()
        for (keyword, value) in keywords {
            switch keyword {
            case "$ref": result[keyword] = reference(value)
            case "xml", "externalDocs", "$id", "$schema": continue
            case "nullable" where isOld: continue
            case "exclusiveMinimum" where value.bool != nil, "exclusiveMaximum" where value.bool != nil: continue
            default:
                var mapped: [JSONValue] = []
                _ = SchemaPositions.mapping(keyword, value) { inner in
                    mapped.append(inner)
                    return inner
                }
                var done = mapped.map { self.schema($0) }[...]
                result[keyword] = SchemaPositions.mapping(keyword, value) { done.popFirst() ?? $0 }
            }
        }
        return isOld ? renewed(result, keywords) : .object(result)
    }

    /// 3.0's own words: `nullable`, and bounds that are exclusive by a flag. What stands beside a reference is ignored.
    private func renewed(_ keywords: JSONObject, _ old: JSONObject) -> JSONValue {
        var result = keywords
        if let reference = result["$ref"] { return ["$ref": reference] }
        for (flag, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] where old[flag] == true
        {
            result[flag] = result[bound]
            result[bound] = nil
        }
        guard old["nullable"] == true else { return .object(result) }
        if let type = result["type"]?.string { result["type"] = [.string(type), "null"] }
        if let values = result["enum"]?.array, !values.contains(.null) { result["enum"] = .array(values + [.null]) }
        if result["type"] == nil, result["enum"] == nil { return ["anyOf": [.object(result), ["type": "null"]]] }
        return .object(result)
    }

    private mutating func reference(_ value: JSONValue) -> JSONValue {
        guard let text = value.string, let reference = SchemaReference(text), reference.segments.count >= 3,
            Array(reference.segments.prefix(2)) == ["components", "schemas"]
        else {
            problem = "a reference leads out of components/schemas: \((value.string ?? "").quoted(utf8: 100))"
            return value
        }
        let name = reference.segments[2]
        guard root["components"]?["schemas"]?[name] != nil else {
            problem = "there is no components/schemas/\(name.onOneLine(utf8: 100))"
            return value
        }
        if known.insert(name).inserted { wanted.append(name) }
        return .string(SchemaReference(segments: ["$defs"] + reference.segments.dropFirst(2)).text)
    }
}
