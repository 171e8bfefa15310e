import EnsignManifest
import EnsignModel

/// The secrets that a server is started or asked with. It may say them again, in what it offers or in why it ended; nothing
/// of that is written or shown.
struct HeldSecrets {
    private var values: [String] = []

    /// Shorter ones are found in any text.
    private static let least = 6

    /// - Parameter environment: What the server gets beside the usual variables.
    init(words: [String] = [], environment: [String: String] = [:], headers: [(name: String, value: String)] = []) {
        for (name, value) in environment where LiteralSecrets.isSecret(value, under: name) { hold(value) }
        // What lets somebody in stands behind its scheme.
        for (_, value) in headers { hold(String(value.split(separator: " ").last ?? "")) }
        for (_, secret) in LiteralSecrets.found(in: words) { hold(secret) }
        // The longest first: another one may be a part of it.
        values.sort { ($0.utf8.count, $1) > ($1.utf8.count, $0) }
    }

    private mutating func hold(_ value: String) {
        if value.utf8.count >= Self.least, !values.contains(value) { values.append(value) }
    }

    var isEmpty: Bool { values.isEmpty }

    /// The text without them.
    func hidden(_ text: String) -> String {
        values.reduce(text) { $0.contains($1) ? $0.replacing($1, with: "***") : $0 }
    }

    func isIn(_ text: String?) -> Bool {
        guard let text else { return false }
        return values.contains { text.contains($0) }
    }

    private func isIn(_ value: JSONValue?) -> Bool {
        switch value {
        case .string(let text)?: isIn(text)
        case .array(let elements)?: elements.contains { isIn($0) }
        case .object(let members)?: members.contains { isIn($0.key) || isIn($0.value) }
        default: false
        }
    }

    func isIn(_ operation: OfferedOperation) -> Bool {
        guard !isEmpty else { return false }
        return isIn(operation.name) || isIn(operation.description) || isIn(operation.input) || isIn(operation.output)
    }
}
