import EnsignJSON
import EnsignModel

/// What is recorded as a call's arguments, and what of it says whether two calls are the same.
///
/// Some instrumentations record something else in this place: the tool's schema, which is the same for all of its calls,
/// or the arguments among ids of the run, which are never the same twice.
enum CallArguments: Sendable, Hashable {
    case none
    /// Says nothing of this call.
    case unusable
    /// Equal for equal arguments.
    case usable(UInt64)

    init(_ value: JSONValue) {
        switch value {
        case .null: self = .none
        case .string(let text):
            let bytes = Array(text.utf8)
            guard let first = bytes.first, first == UInt8(ascii: "{") || first == UInt8(ascii: "["),
                let parsed = try? JSONParser.parse(bytes, maxDepth: 32)
            else {
                self = .usable(StableHash.of(bytes))
                return
            }
            self.init(structured: parsed)
        default: self.init(structured: value)
        }
    }

    private init(structured value: JSONValue) {
        guard let object = value.object else {
            self = .usable(StableHash.of(value.canonicalBytes()))
            return
        }
        if let inner = Self.wrapped(object) {
            self.init(inner)
        } else if Self.isSchema(object) {
            self = .unusable
        } else {
            self = .usable(StableHash.of(value.canonicalBytes()))
        }
    }

    /// The arguments in what a framework puts around them; nil if there is nothing around them.
    private static func wrapped(_ object: JSONObject) -> JSONValue? {
        let keys = Set(object.map(\.key))
        // LangChain's callback as Traceloop records it: tags and metadata have the ids of the run.
        if keys.contains("input_str") || keys.contains("inputs"),
            keys.contains("tags") || keys.contains("metadata") || keys.contains("kwargs"),
            keys.isSubset(of: ["input_str", "inputs", "input", "tags", "metadata", "kwargs"])
        {
            if let inputs = object["inputs"], !inputs.isNull { return inputs }
            return object["input_str"] ?? .null
        }
        // LangChain's ToolCall: its id is a new one for each call.
        if object["type"]?.string == "tool_call", keys.contains("name"), let arguments = object["args"],
            keys.isSubset(of: ["name", "args", "id", "type"])
        {
            return arguments
        }
        return nil
    }

    private static let schemaWords: Set<String> = [
        "$defs", "$id", "$schema", "additionalProperties", "definitions", "description", "properties", "required",
        "strict", "title", "type",
    ]

    /// Whether it is plainly the schema of a tool's input.
    private static func isSchema(_ object: JSONObject) -> Bool {
        guard object["type"]?.string == "object" else { return false }
        return object["properties"]?.object != nil || object.allSatisfy { schemaWords.contains($0.key) }
    }
}

extension CallArguments {
    /// What is recorded as a tool's parameters: mostly what it takes, name by name with a type, rather than what it was
    /// given.
    init(parameters value: JSONValue) {
        let text = value.string.map { Array($0.utf8) }
        let parsed = text.flatMap { try? JSONParser.parse($0, maxDepth: 32) } ?? value
        let isDescription = parsed.object.map { object in
            !object.isEmpty && object.allSatisfy { $0.value["type"] != nil }
        }
        self = isDescription == true ? .unusable : CallArguments(value)
    }
}

extension JSONScanner {
    /// Reads what is recorded as a tool's parameters.
    mutating func otlpParameters() throws(MalformedJSON) -> CallArguments {
        guard peek() == UInt8(ascii: "{") else { return .none }
        let start = index
        try skip()
        guard index - start <= 65_536 else { return .unusable }
        rewind(to: start)
        return CallArguments(parameters: try otlpJSON())
    }

    /// Reads arguments. Of more than 64 KiB the bytes themselves count: sorting a million members would hold up everything
    /// else.
    mutating func otlpArguments() throws(MalformedJSON) -> CallArguments {
        guard peek() == UInt8(ascii: "{") else { return .none }
        let start = index
        try skip()
        guard index - start <= 65_536 else { return .usable(digest(from: start)) }
        rewind(to: start)
        return CallArguments(try otlpJSON())
    }
}
