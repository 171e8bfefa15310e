import EnsignModel

/// Cuts secrets out of what a server answers: a server may echo what it was given.
///
/// Exact values, wherever text stands: members' names too.
struct SecretCutter: Sendable {
    private let secrets: [String]

    static let mark = "[credentials]"
    /// Shorter values are everywhere in ordinary text, and are no secrets worth the name.
    static let shortest = 4

    /// - Parameter secrets: The longest first, so that one within another is cut with it.
    init(_ secrets: [String]) { self.secrets = secrets.filter { $0.utf8.count >= Self.shortest } }

    var isEmpty: Bool { secrets.isEmpty }

    func cut(_ text: String) -> String {
        var text = text
        for secret in secrets where text.utf8.count >= secret.utf8.count {
            text = text.replacing(secret, with: Self.mark)
        }
        return text
    }

    /// Recursion follows the value, whose depth the reader has limited.
    func cut(_ value: JSONValue) -> JSONValue {
        guard !isEmpty else { return value }
        switch value {
        case .null, .bool, .integer, .number: return value
        case .string(let text): return .string(cut(text))
        case .array(let elements): return .array(elements.map(cut))
        case .object(let members): return .object(JSONObject(members.map { (cut($0.key), cut($0.value)) }))
        }
    }
}
