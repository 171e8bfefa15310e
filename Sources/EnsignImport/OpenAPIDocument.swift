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
    /// Where in the document an operation stands, and what is left out of it: by the subjects of decisions.
    package private(set) var places: [String: [String]] = [:]

    /// What is not written of operations, in words, with their names.
    private var unsaid: [String: [String]] = [:]

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
        let names = self.names()
        for (path, item) in root["paths"]?.object ?? [:] {
            guard let item = resolved(item), item.object != nil else {
                decisions.append(ImportDecision(.leftOut, path, Self.unresolved(item)))
                places[path] = ["paths", path]
                continue
            }
            for method in Self.methods {
                guard let operation = item[method], operation.object != nil else { continue }
                guard operations.count < Self.most else {
                    decisions.append(ImportDecision(.leftOut, nil, "what comes after \(Self.most) operations"))
                    return
                }
                let name = names["\(method) \(path)"] ?? Self.name(nil, method, path)
                places[name] = ["paths", path, method]
                noteUnsaid(operation, name, item)
                add(operation, name, path, method, item, work)
            }
        }
        noteRest()
        noteServers()
    }

    /// What an operation says that no tool of a manifest can.
    private mutating func noteUnsaid(_ operation: JSONValue, _ name: String, _ item: JSONValue) {
        if operation["deprecated"] == true { unsaid["it is deprecated", default: []].append(name) }
        if operation["callbacks"]?.object?.isEmpty == false {
            unsaid["what it calls back is not an operation", default: []].append(name)
        }
        let own = (operation["servers"] ?? item["servers"])?.array?.compactMap { $0["url"]?.string } ?? []
        if let first = own.first {
            unsaid["it is at a server of its own, \(first.onOneLine(utf8: 200))", default: []].append(name)
        }
    }

    private static let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

    /// What each operation is called, by `METHOD PATH`.
    ///
    /// Where several would be called alike, each gets a mark of its own path: none of them may come to mean another one
    /// when one of them is gone.
    private mutating func names() -> [String: String] {
        var keys: [String: [String]] = [:]
        for (path, item) in root["paths"]?.object ?? [:] {
            guard let item = resolved(item) else { continue }
            for method in Self.methods {
                guard let operation = item[method], operation.object != nil else { continue }
                keys[Self.name(operation["operationId"]?.string, method, path), default: []].append("\(method) \(path)")
            }
        }
        var names: [String: String] = [:]
        for (name, several) in keys.sorted(by: { $0.key < $1.key }) {
            for key in several {
                names[key] = several.count == 1 ? name : "\(name.prefix(119))_\(Self.mark(of: key))"
            }
            guard several.count > 1 else { continue }
            let which = several.prefix(4).joined(separator: ", ") + (several.count > 4 ? ", ..." : "")
            let why =
                "\(several.count) operations would be called so (\(which)), so each has a mark of its path: an operationId of "
                + "its own names it better"
            decisions.append(ImportDecision(.look, name, why))
        }
        return names
    }

    /// Eight digits of a text: FNV-1a, 32 bits.
    private static func mark(of text: String) -> String {
        let hash = text.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// What a manifest has no place for, all operations together.
    private mutating func noteRest() {
        for (what, names) in unsaid.sorted(by: { $0.key < $1.key }) {
            let shown =
                names.prefix(5).joined(separator: ", ") + (names.count > 5 ? " and \(names.count - 5) more" : "")
            decisions.append(ImportDecision(.noPlace, nil, "\(what): \(shown)"))
        }
        for field in ["webhooks"] where root[field]?.object?.isEmpty == false {
            decisions.append(ImportDecision(.noPlace, field, "what others call is not an operation"))
        }
    }

    private mutating func noteServers() {
        let named = servers.isEmpty ? "" : " (\(servers.prefix(3).joined(separator: ", ")))"
        let why = "a manifest has MCP servers only: name the one that makes these calls\(named)"
        decisions.append(ImportDecision(.look, "server", why))
        let schemes = root["components"]?["securitySchemes"]?.object?.map(\.key) ?? []
        // One that nothing asks for is not wanted.
        let secured = schemes.filter(asked.contains)
        if !secured.isEmpty {
            let names = secured.prefix(5).joined(separator: ", ")
            decisions.append(ImportDecision(.look, "credentials", "it wants \(names): say where they are kept"))
        }
    }

    /// The schemes that something asks for.
    private var asked: Set<String> {
        let operations = (root["paths"]?.object ?? [:]).flatMap { ($0.value.object ?? [:]).map(\.value) }
        let requirements = ([root] + operations).flatMap { $0["security"]?.array ?? [] }
        return Set(requirements.flatMap { ($0.object ?? [:]).map(\.key) })
    }

    // MARK: One operation

    private mutating func add(
        _ operation: JSONValue,
        _ name: String,
        _ path: String,
        _ method: String,
        _ item: JSONValue,
        _ work: SchemaWork
    ) {
        var builder = SchemaBuilder(root: root, isOld: isOld, side: .request, work: work)
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
            if place == "header", ["accept", "content-type", "authorization"].contains(own.lowercased()) {
                unsaid["the header \(own.lowercased()) is its caller's, as OpenAPI has it", default: []].append(name)
                continue
            }
            let key = properties[own] == nil ? own : "\(place)_\(own)"
            if key != own {
                unsaid[
                    "the parameter '\(own.onOneLine(utf8: 60))' of its \(place) is declared as '\(key.onOneLine(utf8: 70))'",
                    default: []
                ].append(name)
            }
            if place == "cookie" { unsaid["a cookie is declared as an argument", default: []].append(name) }
            var schema = parameter["schema"] ?? Self.content(parameter["content"])?.value["schema"] ?? [:]
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
        if let name = missing.min() { problem = problem ?? "its path has {\(name)}, which is not a parameter" }
        if let body, let type = Self.content(body["content"]), type.value["schema"] == nil {
            unsaid["the body (\(type.key.onOneLine(utf8: 60))) has no schema, and is not declared", default: []].append(
                name
            )
        }
        if let body, let (type, value) = Self.content(body["content"]), let schema = value["schema"] {
            if !type.lowercased().contains("json") {
                let what = "the body is \(type.onOneLine(utf8: 60)), of which the schema is declared alone"
                unsaid[what, default: []].append(name)
            }
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
            let schema = Self.content((resolved(response) ?? response)["content"])?.value["schema"]
        else { return nil }
        var builder = SchemaBuilder(root: root, isOld: isOld, side: .response, work: work)
        return (builder.schema(schema), builder)
    }

    /// Why what is at a reference is not known.
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

    /// The media type that is declared: JSON if there is one.
    private static func content(_ content: JSONValue?) -> (key: String, value: JSONValue)? {
        guard let types = content?.object else { return nil }
        return types.first { $0.key == "application/json" } ?? types.first { $0.key.contains("json") } ?? types.first
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
    let side: Side
    let work: SchemaWork
    /// Why it cannot be by itself.
    private(set) var problem: String?
    private var wanted: [String] = []
    private var known: Set<String> = []

    /// Who says what the schema is of. Each has properties that only the other one says: OpenAPI 3.0 and 3.1, "Schema Object"
    /// and JSON Schema's `readOnly` and `writeOnly`.
    enum Side: String {
        case request = "readOnly"
        case response = "writeOnly"
    }

    init(root: JSONValue, isOld: Bool, side: Side, work: SchemaWork) {
        self.root = root
        self.isOld = isOld
        self.side = side
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

    /// - Parameter others: Properties that only the other side says, of the schema that this one is a part of.
    mutating func schema(_ schema: JSONValue, others: Set<String> = []) -> JSONValue {
        guard case .object(let written) = schema else { return schema }
        let others = others.union(self.others(in: schema))
        let keywords = others.isEmpty ? written : Self.without(others, written)
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
                // The parts of one object: what one of them requires, another one may call the other side's.
                let shared = keyword == "allOf" ? others : []
                var done = mapped.map { self.schema($0, others: shared) }[...]
                result[keyword] = SchemaPositions.mapping(keyword, value) { done.popFirst() ?? $0 }
            }
        }
        return isOld ? renewed(result, keywords) : .object(result)
    }

    /// The properties of an object, and of its parts, that only the other side says.
    private func others(in schema: JSONValue, depth: Int = 0) -> Set<String> {
        guard depth < 8 else { return [] }
        var found: Set<String> = []
        for (name, property) in schema["properties"]?.object ?? [:] where isOthers(property) { found.insert(name) }
        for part in schema["allOf"]?.array ?? [] {
            found.formUnion(others(in: target(of: part) ?? part, depth: depth + 1))
        }
        return found
    }

    private func isOthers(_ property: JSONValue) -> Bool {
        property[side.rawValue] == true || target(of: property)?[side.rawValue] == true
    }

    private func target(of schema: JSONValue) -> JSONValue? {
        guard let reference = schema["$ref"]?.string.flatMap({ SchemaReference($0) }), reference.segments.count == 3,
            Array(reference.segments.prefix(2)) == ["components", "schemas"]
        else { return nil }
        return root["components"]?["schemas"]?[reference.segments[2]]
    }

    private static func without(_ names: Set<String>, _ keywords: JSONObject) -> JSONObject {
        var result = keywords
        if let properties = keywords["properties"]?.object {
            result["properties"] = .object(
                JSONObject(properties.filter { !names.contains($0.key) }.map { ($0.key, $0.value) })
            )
        }
        if let required = keywords["required"]?.array {
            let rest = required.filter { $0.string.map(names.contains) != true }
            result["required"] = rest.isEmpty ? nil : .array(rest)
        }
        return result
    }

    /// 3.0's own words: `nullable`, and bounds that are exclusive by a flag. What is beside a reference is ignored.
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
