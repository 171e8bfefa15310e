import EnsignModel

/// Reads one operation of an HTTP interface: its parameters and its body become one schema.
struct OpenAPIOperation {
    /// What a tool of a manifest cannot say of it, in words.
    private(set) var unsaid: [String] = []
    /// Why it cannot be a tool's operation: what was found first.
    private(set) var problem: String?
    private let root: JSONValue
    private let isOld: Bool
    private let work: SchemaWork
    private var builder: SchemaBuilder
    private var properties = JSONObject()
    /// The names that parameters have in the description, and those that were given here.
    private var written: Set<String> = []
    private var required: [JSONValue] = []

    init(root: JSONValue, isOld: Bool, work: SchemaWork) {
        (self.root, self.isOld, self.work) = (root, isOld, work)
        builder = SchemaBuilder(root: root, isOld: isOld, side: .request, work: work)
    }

    /// - Parameter item: The path's, with what all its methods share.
    /// - Returns: nil when it cannot be declared: ``problem`` says why.
    mutating func read(
        _ operation: JSONValue,
        in item: JSONValue,
        name: String,
        method: String,
        path: String
    ) -> OfferedOperation? {
        noteUnsaid(operation, item)
        let missing = addParameters(parameters(item, operation), of: path)
        let body = operation["requestBody"].map { $0.resolved(in: root) ?? $0 }
        if let body, body["$ref"] != nil { fail(body.leadsNowhere) }
        if let name = missing.min() { fail("its path has {\(name)}, which is not a parameter") }
        if let body { addBody(body) }
        let input = finishedInput()
        let output = output(operation)
        guard problem == nil else { return nil }
        let texts = [operation["summary"]?.string, operation["description"]?.string].compactMap { $0 }
        let description = texts.filter { !$0.isEmpty }.joined(separator: "\n\n")
        return OfferedOperation(
            name: name,
            description: description.isEmpty ? "\(method.uppercased()) \(path)" : description,
            input: input,
            output: output,
            method: method
        )
    }

    private mutating func fail(_ why: String) { problem = problem ?? why }

    /// Notes what no tool of a manifest can say.
    private mutating func noteUnsaid(_ operation: JSONValue, _ item: JSONValue) {
        if operation["deprecated"] == true { unsaid.append("it is deprecated") }
        if operation["callbacks"]?.object?.isEmpty == false {
            unsaid.append("what it calls back is not an operation")
        }
        let own = (operation["servers"] ?? item["servers"])?.array?.compactMap { $0["url"]?.string } ?? []
        if let first = own.first { unsaid.append("it is at a server of its own, \(first.onOneLine(utf8: 200))") }
    }

    // MARK: Parameters

    /// The parameters of the path and of the operation; the operation's own count where both name one.
    private func parameters(_ item: JSONValue, _ operation: JSONValue) -> [JSONValue] {
        var found: [(key: String, value: JSONValue)] = []
        for list in [item["parameters"], operation["parameters"]] {
            for entry in list?.array ?? [] {
                let value = entry.resolved(in: root) ?? entry
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

    /// - Returns: What the path leaves open and no parameter names.
    private mutating func addParameters(_ parameters: [JSONValue], of path: String) -> Set<String> {
        var missing = Self.variables(path)
        written = Set(parameters.compactMap { $0["name"]?.string })
        for parameter in parameters {
            guard let name = parameter["name"]?.string, let place = parameter["in"]?.string else {
                fail(parameter["$ref"] == nil ? "a parameter has no name" : parameter.leadsNowhere)
                continue
            }
            if place == "path" { missing.remove(name) }
            add(parameter, name, in: place)
        }
        return missing
    }

    private mutating func add(_ parameter: JSONValue, _ name: String, in place: String) {
        if place == "header", ["accept", "content-type", "authorization"].contains(name.lowercased()) {
            unsaid.append("the header \(name.lowercased()) is its caller's, as OpenAPI has it")
            return
        }
        let key = properties[name] == nil ? name : free("\(place)_\(name)")
        if key != name {
            unsaid.append(
                "the parameter '\(name.onOneLine(utf8: 60))' of its \(place) is declared as '\(key.onOneLine(utf8: 70))'"
            )
        }
        if place == "cookie" { unsaid.append("a cookie is declared as an argument") }
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

    /// A name that no parameter has.
    private mutating func free(_ name: String) -> String {
        var result = name
        var number = 2
        while written.contains(result) {
            result = "\(name)_\(number)"
            number += 1
        }
        written.insert(result)
        return result
    }

    /// What a path leaves open: `id` of `/users/{id}`.
    private static func variables(_ path: String) -> Set<String> {
        Set(path.split(separator: "{").dropFirst().compactMap { $0.split(separator: "}").first.map(String.init) })
    }

    // MARK: Body and output

    private mutating func addBody(_ body: JSONValue) {
        guard let (type, value) = Self.content(body["content"]) else { return }
        guard let schema = value["schema"] else {
            unsaid.append("the body (\(type.onOneLine(utf8: 60))) has no schema, and is not declared")
            return
        }
        if !type.lowercased().contains("json") {
            unsaid.append("the body is \(type.onOneLine(utf8: 60)), of which the schema is declared alone")
        }
        let key = properties["body"] == nil ? "body" : free("request_body")
        if key != "body" { unsaid.append("the body is declared as '\(key)'") }
        properties[key] = builder.schema(schema)
        if body["required"] == true { required.append(.string(key)) }
    }

    private mutating func finishedInput() -> JSONValue {
        var input: JSONObject = ["type": "object", "properties": .object(properties), "additionalProperties": false]
        if !required.isEmpty { input["required"] = .array(required) }
        let whole = builder.finish(.object(input))
        if let problem = builder.problem { fail(problem) }
        return whole
    }

    /// The schema of the answer that is meant; nil where none is described.
    private mutating func output(_ operation: JSONValue) -> JSONValue? {
        let responses = operation["responses"]?.object ?? [:]
        let codes = ["200", "201", "202", "2XX", "2xx", "default"]
        guard let response = codes.lazy.compactMap({ responses[$0] }).first,
            let schema = Self.content((response.resolved(in: root) ?? response)["content"])?.value["schema"]
        else { return nil }
        var builder = SchemaBuilder(root: root, isOld: isOld, side: .response, work: work)
        let whole = builder.finish(builder.schema(schema))
        if let problem = builder.problem { fail(problem) }
        return whole
    }

    /// The media type that is declared: JSON if there is one.
    private static func content(_ content: JSONValue?) -> (key: String, value: JSONValue)? {
        guard let types = content?.object else { return nil }
        return types.first { $0.key == "application/json" } ?? types.first { $0.key.contains("json") } ?? types.first
    }
}

extension JSONValue {
    /// What a reference leads to in a document; nil for what is none. Chains are followed a little.
    func resolved(in root: JSONValue) -> JSONValue? {
        var value = self
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

    /// Why what is at a reference is not known.
    var leadsNowhere: String {
        "it leads to nothing in this file: \((self["$ref"]?.string ?? text).quoted(utf8: 100))"
    }
}
