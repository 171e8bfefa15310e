import EnsignJSON
package import EnsignModel

/// An operation as a source describes it, before it becomes part of a manifest.
package struct OfferedOperation: Sendable, Hashable {
    package var name: String
    package var description: String?
    package var input: JSONValue?
    package var output: JSONValue?
    /// Whether it only reads, destroys, may be repeated: the source's word; nil where it is silent.
    package var isReadOnly: Bool?
    package var isDestructive: Bool?
    package var isIdempotent: Bool?
    /// What a method of HTTP implies; used where the source itself is silent.
    package var method: String?
    /// The digest of the definition as its server gives it; nil where the source is no server.
    package var pin: Digest?

    package init(
        name: String,
        description: String? = nil,
        input: JSONValue? = nil,
        output: JSONValue? = nil,
        isReadOnly: Bool? = nil,
        isDestructive: Bool? = nil,
        isIdempotent: Bool? = nil,
        method: String? = nil,
        pin: Digest? = nil
    ) {
        self.name = name
        self.description = description
        self.input = input
        self.output = output
        self.isReadOnly = isReadOnly
        self.isDestructive = isDestructive
        self.isIdempotent = isIdempotent
        self.method = method
        self.pin = pin
    }

    /// How a comment says that something is written on a source's word, or as a guess.
    static let ownWord = "the server's own word"
    static let guess = "guess: "

    /// What it does to the world, how bad a wrong call can be, and why that is thought.
    var judgement: (access: Access, risk: Risk, why: String) {
        if isReadOnly == true { return (.read, .low, "readOnlyHint, \(Self.ownWord)") }
        if isDestructive == true { return (.execute, .high, "destructiveHint, \(Self.ownWord)") }
        if isReadOnly == false, isDestructive == false {
            return (.write, .medium, "not read-only and not destructive, \(Self.ownWord)")
        }
        if let method {
            switch method {
            case "get", "head", "options": return (.read, .low, "\(Self.guess)\(method.uppercased())")
            case "put", "patch", "post": return (.write, .medium, "\(Self.guess)\(method.uppercased())")
            default: return (.execute, .high, "\(Self.guess)\(method.uppercased())")
            }
        }
        // MCP: what is not said to be read-only may write, and may destroy.
        return (.execute, .high, isReadOnly == nil ? "\(Self.guess)no readOnlyHint" : "\(Self.guess)no destructiveHint")
    }

    var isGuess: Bool { judgement.why.hasPrefix(Self.guess) }

    static let mostDescription = 65_536

    /// Why it cannot be in a manifest; nil if it can.
    var refusal: String? {
        guard OperationName.isValid(name) else { return "the name is not \(OperationName.rule)" }
        if let description, description.utf8.count > Self.mostDescription {
            return "its description is longer than \(Self.mostDescription) bytes"
        }
        for (what, schema) in [("input", input), ("output", output)] {
            guard let schema else { continue }
            if let problem = lintSchema(schema).first(where: { $0.severity == .error }) {
                let place = problem.pointer.isEmpty ? "" : " at \(problem.pointer.jsonPointer.cut(utf8: 100))"
                return "its \(what) schema\(place): \(problem.message) [\(problem.code.rawValue)]"
            }
            guard schema.isShallow(most: 48) else { return "its \(what) schema is nested too deep for a manifest" }
            if let number = schema.inexactNumber {
                return "its \(what) schema has the number \(number), which cannot be held exactly"
            }
        }
        return nil
    }

    /// The operation with what steers terminals or shows nothing made visible, bounds clamped; says whether it changed.
    func readable() -> (operation: OfferedOperation, changed: Bool) {
        var result = self
        let whole = description?.replacingLineEnds
        result.description = whole?.onItsLines
        result.input = input.map(Self.clamped)
        result.output = output.map(Self.clamped)
        return (result, result.description != whole)
    }

    private static func clamped(_ schema: JSONValue) -> JSONValue {
        guard let keywords = schema.object else { return schema }
        return .object(
            JSONObject(
                keywords.map { keyword, value in
                    let bound = SchemaTranslation.clamped(keyword, value)
                    return (keyword, bound ?? SchemaPositions.mapping(keyword, value, clamped))
                }
            )
        )
    }
}

extension String {
    fileprivate var replacingLineEnds: String {
        guard unicodeScalars.contains("\r") else { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars where scalar != "\r" { result.append(scalar) }
        return String(result)
    }
}

extension JSONValue {
    /// Whether lists and objects are within one another no deeper than this, and names no longer than YAML's keys may be:
    /// what is not would make the whole manifest unreadable.
    fileprivate func isShallow(most: Int) -> Bool {
        switch self {
        case .array(let elements): most > 0 && elements.allSatisfy { $0.isShallow(most: most - 1) }
        case .object(let members):
            most > 0 && members.allSatisfy { $0.key.utf8.count <= 160 && $0.value.isShallow(most: most - 1) }
        default: true
        }
    }

    /// A whole number that a manifest cannot hold, bounds that are clamped aside.
    fileprivate var inexactNumber: String? {
        switch self {
        case .integer(let value) where value.magnitude > 1 << 53: "\(value)"
        case .number(let value) where value.rounded() == value && value.magnitude >= 0x1p53: "\(value)"
        case .array(let elements): elements.lazy.compactMap(\.inexactNumber).first
        case .object(let members):
            members.lazy.filter { SchemaTranslation.clamped($0.key, $0.value) == nil }
                .compactMap(\.value.inexactNumber).first
        default: nil
        }
    }
}
