package import EnsignModel
import EnsignYAML

/// Finds what looks like a secret in a manifest: everybody may read it, and git and the record keep it for ever.
///
/// Well-known forms are refused anywhere. Where servers and runtimes are configured, so is what is too random to be a
/// name, and any literal under a name such as `API_KEY`.
struct SecretChecker {
    let tape: YAMLTape
    private let bytes: [UInt8]
    /// The file's lines, for the marks of exceptions.
    private lazy var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
    private(set) var found: [Found] = []
    /// The secrets themselves, for what is said of the file.
    private(set) var mask = SecretMask()
    private var lastNode: Int?
    /// Nobody reads more of them in one file.
    private static let most = 100

    struct Found {
        var message: String
        var position: Position
    }

    init(tape: YAMLTape, bytes: [UInt8]) {
        self.tape = tape
        self.bytes = bytes
        if let root = tape.root { look(at: root, "the manifest", isConfiguration: false, parent: "") }
        lookAtComments()
    }

    /// Recursion follows the document: the parser has limited it to 64 levels.
    private mutating func look(at node: Int, _ name: String, isConfiguration: Bool, parent: String) {
        switch tape.kind(of: node) {
        case .invalid: return
        case .plain, .quoted: look(atText: node, name, isConfiguration)
        case .sequence:
            var elements: [Int] = []
            tape.forEachElement(of: node) { elements.append($0) }
            let given = isConfiguration ? given(elements, name) : [:]
            for (index, element) in elements.enumerated() {
                if let option = given[index] {
                    add("\(name): '\(option.cut(utf8: 60))' is given a literal value", element)
                }
                look(at: element, name, isConfiguration: isConfiguration, parent: parent)
            }
        case .mapping:
            var pairs: [(key: Int, value: Int)] = []
            tape.forEachPair(of: node) { pairs.append(($0, $1)) }
            if isConfiguration { look(atPairs: pairs, name) }
            let beginning = Self.configurations[parent]
            for (key, value) in pairs {
                look(atText: key, name, isConfiguration, isKey: true)
                let field = tape.string(of: key)
                let begins = beginning?.contains(field) == true
                if isConfiguration { look(atNamed: field, value, name) }
                let shown = field.cut(utf8: 60)
                // What a reference names is a place, whatever it is called.
                let isReference = isConfiguration && field == "ref" && isText(value)
                let isPlace = isReference && TextForm.credentials.problem(tape.string(of: value)) == nil
                if isReference, !isPlace, pairs.count == 1 {
                    add("\(name): this is not a reference like 'vault:payments'", value)
                }
                look(at: value, shown, isConfiguration: (isConfiguration || begins) && !isPlace, parent: field)
            }
        }
    }

    /// What is handed on to programs and servers as it stands: fields by the name of what they are in.
    private static let configurations: [String: Set<String>] = [
        "server": ["mcp"], "spec": ["runtime"], "model": ["parameters"], "fallbacks": ["parameters"],
        "triggers": ["input"],
    ]

    private func isText(_ node: Int) -> Bool { tape.kind(of: node) == .plain || tape.kind(of: node) == .quoted }

    private mutating func look(atText node: Int, _ name: String, _ isConfiguration: Bool, isKey: Bool = false) {
        let text = tape.bytes(of: node)
        // Words are made where something is found, not for each text of a fleet.
        func place() -> String { isKey ? "a key of \(name)" : name }
        if let title = isConfiguration ? SecretForms.known(inEncoded: text) : SecretForms.known(in: text)?.title {
            add("\(place()): this looks like \(title)", node, secrets: SecretForms.all(in: text))
        } else if isConfiguration, text.count >= 20, SecretForms.isRandom(text) {
            add("\(place()): this looks like a key or a token", node)
        } else if isConfiguration, let assigned = LiteralSecrets.assigned(in: text[...]) {
            add("\(place()): '\(assigned.name)' is given a literal value", node)
        }
    }

    /// Tokens in comments, and in what a syntax error cut off: everybody reads these too.
    private mutating func lookAtComments() {
        for (number, line) in lines.enumerated() {
            // A comment begins at its line's start or behind a blank.
            let start =
                tape.isComplete
                ? line.indices.first { line[$0] == 0x23 && ($0 == line.startIndex || line[$0 - 1] <= 0x20) }
                : line.startIndex
            guard let start, let secret = SecretForms.known(in: line[start...]) else { continue }
            // What is in a value was looked at there.
            let token = line[(start + secret.offset)...].prefix(16).prefix { $0 > 0x20 && $0 != 0x22 && $0 != 0x27 }
            guard !tape.hasText(Array(token)), found.count < Self.most else { continue }
            guard !Self.isException(line, above: number > 0 ? lines[number - 1] : []) else { continue }
            for secret in SecretForms.all(in: line[start...]) { mask.add(secret) }
            let column = Self.column(of: start - line.startIndex + secret.offset, in: line, number)
            let place = tape.isComplete ? "a comment" : "this line"
            found.append(
                Found(
                    message: "\(place): this looks like \(secret.title)",
                    position: Position(line: UInt32(number + 1), column: column)
                )
            )
        }
    }

    /// The column of a byte, counted in Unicode scalars without a byte order mark, as YAML's positions are.
    ///
    /// - Parameter number: The line's, counted from 0.
    fileprivate static func column(of offset: Int, in line: ArraySlice<UInt8>, _ number: Int) -> UInt32 {
        let scalars = line.prefix(offset).count { $0 & 0xC0 != 0x80 }
        let mark = number == 0 && line.starts(with: [0xEF, 0xBB, 0xBF]) && offset > 0 ? 1 : 0
        return UInt32(scalars - mark + 1)
    }

    /// `API_KEY: abc`, `API_KEYS: [abc1]` and `API_KEY: {value: abc}`.
    private mutating func look(atNamed field: String, _ value: Int, _ name: String) {
        var values: [Int] = []
        switch tape.kind(of: value) {
        case .invalid: return
        case .plain, .quoted: values = [value]
        // Lists may be of names.
        case .sequence:
            tape.forEachElement(of: value) { if SecretNames.looksMade(tape.string(of: $0)) { values.append($0) } }
        case .mapping:
            tape.forEachPair(of: value) { if ["value", "default"].contains(tape.string(of: $0)) { values.append($1) } }
        }
        for value in values where isText(value) && SecretNames.isSecret(tape.string(of: value), under: field) {
            add("\(name): '\(field.cut(utf8: 60))' has a literal value", value)
        }
    }

    /// `{name: API_KEY, value: abc}`, as lists of variables and of headers have it.
    private mutating func look(atPairs pairs: [(key: Int, value: Int)], _ name: String) {
        var (names, value): ([String], Int?) = ([], nil)
        for pair in pairs where isText(pair.value) {
            switch tape.string(of: pair.key) {
            case "name", "key", "header": names.append(tape.string(of: pair.value))
            case "value": value = pair.value
            default: break
            }
        }
        guard let value else { return }
        for field in names { look(atNamed: field, value, name) }
    }

    /// `[--token, abc]`, and in a command `[token, abc12345]`: the words that are given, with what they are given to.
    private func given(_ elements: [Int], _ name: String) -> [Int: String] {
        let words = elements.map { isText($0) ? tape.string(of: $0) : "" }
        let given = LiteralSecrets.given(in: words, inCommand: name == "command")
        return Dictionary(given.map { ($0.index, $0.name) }) { first, _ in first }
    }

    /// - Parameter secrets: The parts of the node's text that are secret; nil for all of it.
    private mutating func add(_ message: String, _ node: Int, secrets: [ArraySlice<UInt8>]? = nil) {
        guard lastNode != node else { return }
        let position = Position(tape.mark(of: node))
        let line = Int(position.line)
        if line >= 1, line <= lines.count,
            Self.isException(lines[line - 1], above: line > 1 ? lines[line - 2] : [])
        {
            return
        }
        lastNode = node
        // What is written with escapes has none of its parts as they stand.
        let parts = secrets ?? []
        for secret in parts.isEmpty ? [tape.bytes(of: node)] : parts { mask.add(secret) }
        guard found.count < Self.most else { return }
        found.append(Found(message: message, position: position))
    }

    // MARK: Exceptions

    static let hint =
        "move it to your secret store, name its place there as {ref: vault:...}, and rotate it; if it is none, say why at the end of the line: # secret-ok: REASON"

    /// Whether a line, or the one above if it is a comment, says `secret-ok:` and why.
    static func isException(_ line: ArraySlice<UInt8>, above: ArraySlice<UInt8>) -> Bool {
        if says(line) { return true }
        return above.first { $0 != 0x20 } == UInt8(ascii: "#") && says(above)
    }

    private static func says(_ line: ArraySlice<UInt8>) -> Bool {
        let text = String(decoding: line, as: UTF8.self)
        guard let mark = text.firstRange(of: "secret-ok:") else { return false }
        return !text[mark.upperBound...].allSatisfy { $0.isWhitespace || "->*/".contains($0) }
    }
}

extension Finding {
    package static let secret = "literal-secret"

    /// Whether it is about a secret in a released version, which is refused where the version is new.
    package var isSecretInRelease: Bool { code == Self.secret && severity == .warning }

    /// The first line of a prompt or another text that looks like a secret and is not an exception; nil when there is none.
    package static func secret(inText bytes: [UInt8], _ path: String, isReleased: Bool) -> Finding? {
        var above: ArraySlice<UInt8> = []
        for (number, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            defer { above = line }
            guard let secret = SecretForms.known(in: line), !SecretChecker.isException(line, above: above) else {
                continue
            }
            return Finding(
                isReleased ? .warning : .error,
                code: Finding.secret,
                "this looks like \(secret.title): a literal secret is never accepted",
                path: path,
                at: Position(
                    line: UInt32(number + 1),
                    column: SecretChecker.column(of: secret.offset, in: line, number)
                ),
                hint: SecretChecker.hint
            )
        }
        return nil
    }
}
