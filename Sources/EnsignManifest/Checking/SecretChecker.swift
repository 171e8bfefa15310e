import EnsignModel
import EnsignYAML

/// Finds what looks like a secret in a manifest: everybody may read it, and git and the record keep it for ever.
///
/// Well-known forms are refused anywhere. Where servers and runtimes are configured, so is what is too random to be a
/// name, and any literal under a name such as `API_KEY`.
struct SecretChecker {
    let tape: YAMLTape
    /// The file, for the marks of exceptions.
    let bytes: [UInt8]
    private(set) var found: [(message: String, node: Int)] = []

    init(tape: YAMLTape, bytes: [UInt8]) {
        (self.tape, self.bytes) = (tape, bytes)
        if let root = tape.root { look(at: root, "the manifest", isConfiguration: false, parent: "") }
    }

    /// Recursion follows the document: the parser has limited it to 64 levels.
    private mutating func look(at node: Int, _ name: String, isConfiguration: Bool, parent: String) {
        switch tape.kind(of: node) {
        case .invalid: return
        case .plain, .quoted: look(atText: node, name, isConfiguration)
        case .sequence:
            var elements: [Int] = []
            tape.forEachElement(of: node) { elements.append($0) }
            for (index, element) in elements.enumerated() {
                if isConfiguration, index > 0 { look(atOption: elements[index - 1], element, name) }
                look(at: element, name, isConfiguration: isConfiguration, parent: parent)
            }
        case .mapping:
            var pairs: [(key: Int, value: Int)] = []
            tape.forEachPair(of: node) { pairs.append(($0, $1)) }
            for (key, value) in pairs {
                look(atText: key, "a key of \(name)", isConfiguration)
                let field = tape.string(of: key)
                let begins = parent == "server" && field == "mcp" || parent == "spec" && field == "runtime"
                if isConfiguration, isText(value) { look(atNamed: field, value, name) }
                let shown = field.cut(utf8: 60)
                look(at: value, shown, isConfiguration: isConfiguration || begins, parent: field)
            }
        }
    }

    private func isText(_ node: Int) -> Bool { tape.kind(of: node) == .plain || tape.kind(of: node) == .quoted }

    private mutating func look(atText node: Int, _ name: String, _ isConfiguration: Bool) {
        let text = tape.bytes(of: node)
        if let (title, _) = SecretForms.known(in: text) {
            add("\(name): this looks like \(title)", node)
        } else if isConfiguration, text.count >= 20, SecretForms.isRandom(text) {
            add("\(name): this looks like a key or a token", node)
        } else if isConfiguration, let assigned = Self.assignment(tape.string(of: node)) {
            add("\(name): '\(assigned)' is given a literal value", node)
        }
    }

    /// `API_KEY: abc`.
    private mutating func look(atNamed field: String, _ value: Int, _ name: String) {
        guard SecretForms.isTelling(field), !SecretForms.isPlaceholder(tape.string(of: value)) else { return }
        add("\(name): '\(field.cut(utf8: 60))' has a literal value", value)
    }

    /// `[--token, abc]`.
    private mutating func look(atOption option: Int, _ value: Int, _ name: String) {
        guard isText(option), isText(value) else { return }
        let (word, text) = (tape.string(of: option), tape.string(of: value))
        guard word.hasPrefix("-"), !word.contains("="), SecretForms.isTelling(word), !text.hasPrefix("-"),
            !SecretForms.isPlaceholder(text)
        else { return }
        add("\(name): '\(word.cut(utf8: 60))' is given a literal value", value)
    }

    /// The name in `API_KEY=abc`, `--token=abc` or `Authorization: Bearer abc`; nil when it is none that tells.
    private static func assignment(_ text: String) -> String? {
        guard let sign = text.firstIndex(where: { $0 == "=" || $0 == ":" }), !text[..<sign].contains(" ") else {
            return nil
        }
        let value = text[text.index(after: sign)...].drop { $0 == " " }
        guard SecretForms.isTelling(text[..<sign]), !value.hasPrefix("/"), !SecretForms.isPlaceholder(value) else {
            return nil
        }
        return text[..<sign].trimmingPrefix(while: { $0 == "-" }).description.cut(utf8: 60)
    }

    private mutating func add(_ message: String, _ node: Int) {
        guard found.last?.node != node else { return }
        guard !Self.isException(bytes, line: Int(tape.mark(of: node).line)) else { return }
        found.append((message, node))
    }

    // MARK: Exceptions

    static let hint =
        "move it to your secret store, name its place there as {ref: vault:...}, and rotate it; if it is none, say why at the end of the line: # secret-ok: REASON"

    /// Whether a line, or the one above if it is a comment, says `secret-ok:` and why.
    ///
    /// - Parameter line: Counted from 1.
    static func isException(_ bytes: [UInt8], line: Int) -> Bool {
        let lines = bytes.split(separator: 0x0A, maxSplits: line, omittingEmptySubsequences: false)
        guard line >= 1, line <= lines.count else { return false }
        func says(_ text: ArraySlice<UInt8>) -> Bool {
            guard let mark = String(decoding: text, as: UTF8.self).firstRange(of: "secret-ok:") else { return false }
            return !String(decoding: text, as: UTF8.self)[mark.upperBound...].allSatisfy {
                $0.isWhitespace || "->*/".contains($0)
            }
        }
        if says(lines[line - 1]) { return true }
        guard line >= 2, lines[line - 2].first(where: { $0 != 0x20 }) == UInt8(ascii: "#") else { return false }
        return says(lines[line - 2])
    }
}
