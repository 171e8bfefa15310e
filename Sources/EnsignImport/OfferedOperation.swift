import EnsignJSON
import EnsignModel

extension OfferedOperation {
    /// How a comment says that something is written on a source's word, or as a guess.
    static let ownWord = "the server's own word"
    static let guess = "guess: "

    private static let readOnly = "readOnlyHint, \(ownWord)"
    private static let destructive = "destructiveHint, \(ownWord)"
    private static let neither = "not read-only and not destructive, \(ownWord)"
    static let repeatable = "idempotentHint, \(ownWord)"
    /// All that a comment says of a server's word.
    static let reasons: Set = [readOnly, destructive, neither, repeatable]

    /// Whether a comment says that something is a guess, and nothing else.
    static func isGuess(_ comment: String) -> Bool { comment.hasPrefix(guess) && !comment.contains("#") }

    /// What it does to the world, how bad a wrong call can be, and why that is thought.
    var judgement: Judgement {
        // A server that says both is believed the worse.
        if isDestructive == true { return Judgement(.execute, .high, Self.destructive) }
        if isReadOnly == true { return Judgement(.read, .low, Self.readOnly) }
        if isReadOnly == false, isDestructive == false { return Judgement(.write, .medium, Self.neither) }
        if let method {
            switch method {
            case "get", "head", "options": return Judgement(.read, .low, guess: method.uppercased())
            case "put", "patch", "post": return Judgement(.write, .medium, guess: method.uppercased())
            default: return Judgement(.execute, .high, guess: method.uppercased())
            }
        }
        // MCP: what is not said to be read-only may write, and may destroy.
        return Judgement(.execute, .high, guess: isReadOnly == nil ? "no readOnlyHint" : "no destructiveHint")
    }

    struct Judgement {
        var access: Access
        var risk: Risk
        /// As a comment says it.
        var why: String
        /// Whether it is not on the source's word.
        var isGuess: Bool

        fileprivate init(_ access: Access, _ risk: Risk, _ word: String) {
            (self.access, self.risk, why, isGuess) = (access, risk, word, false)
        }

        fileprivate init(_ access: Access, _ risk: Risk, guess: String) {
            (self.access, self.risk, why, isGuess) = (access, risk, OfferedOperation.guess + guess, true)
        }
    }

    static let mostDescription = 65_536

    /// Why it cannot be in a manifest; nil if it can.
    var refusal: String? {
        guard OperationName.isValid(name) else { return "the name is not \(OperationName.rule)" }
        if let description, description.utf8.count > Self.mostDescription {
            return "its description is longer than \(Self.mostDescription) bytes"
        }
        for (what, schema) in [("input", input), ("output", output)] {
            guard let schema else { continue }
            guard schema.isShallow(most: 48) else { return "its \(what) schema is nested too deep for a manifest" }
            if let problem = lintSchema(schema).first(where: { $0.severity == .error }) {
                let place = problem.pointer.isEmpty ? "" : " at \(problem.pointer.jsonPointer.cut(utf8: 100))"
                return "its \(what) schema\(place): \(problem.message) [\(problem.code.rawValue)]"
            }
            if let number = schema.inexactNumber {
                return "its \(what) schema has the number \(number), which cannot be held exactly"
            }
        }
        return nil
    }

    /// The operation as a manifest can have it, and what was changed, in words: what steers terminals or shows nothing is
    /// made visible, and schemas are in the words that manifests know.
    func readable() -> (operation: OfferedOperation, changes: [String]) {
        var result = self
        var changes: [String] = []
        let whole = description?.replacingLineEnds
        result.description = whole?.onItsLines
        if result.description != whole {
            changes.append(
                "its description has characters that show nothing or steer terminals; they are written visibly"
            )
        }
        for (what, place) in [("input", \OfferedOperation.input), ("output", \OfferedOperation.output)] {
            guard let schema = self[keyPath: place] else { continue }
            // MCP reads a schema without a label as 2020-12; of OpenAPI the label has been written.
            let foreign = ForeignSchema(schema, unlabelled: method == nil ? .draft2020 : nil)
            result[keyPath: place] = foreign.schema
            if !foreign.dropped.isEmpty {
                let words = foreign.dropped.sorted()
                let shown = words.prefix(8).map { $0.quoted(utf8: 60) }.joined(separator: ", ")
                changes.append("its \(what) schema is written without \(shown)\(words.count > 8 ? ", ..." : "")")
            }
        }
        return (result, changes)
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
    var inexactNumber: String? {
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
