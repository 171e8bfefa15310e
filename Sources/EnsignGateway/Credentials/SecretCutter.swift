package import EnsignModel

/// Cuts secrets out of what a server answers: a server may echo what it was given.
///
/// Exact values, wherever text is: members' names too.
package struct SecretCutter: Sendable {
    private let secrets: [[UInt8]]
    /// The same, and the lines of those that have several.
    private let pieces: [[UInt8]]

    static let mark = "[credentials]"
    /// Shorter values are everywhere in ordinary text, and are not secrets worth the name.
    static let shortest = 4
    /// Shorter lines of a longer value are no secrets: brackets and the like.
    private static let shortestLine = 8

    /// - Parameter secrets: In any order; of one within another the longer is cut.
    package init(_ secrets: [String]) {
        let plain = secrets.map { Array($0.utf8) }.filter { $0.count >= Self.shortest }
        // Within a text that is JSON itself it stands escaped: as little as must be, and as much as some libraries do.
        let escaped = secrets.flatMap { [Self.escaped($0, ascii: false), Self.escaped($0, ascii: true)] }
            .filter { $0.count >= Self.shortest }
        let lines = plain.flatMap { $0.split { $0 == 0x0A || $0 == 0x0D } }.map(Array.init)
            .filter { $0.count >= Self.shortestLine }
        self.secrets = Array(Set(plain + escaped)).sorted { $0.count > $1.count }
        pieces = Array(Set(plain + escaped + lines)).sorted { $0.count > $1.count }
    }

    /// The inside of a JSON text (RFC 8259, section 7).
    private static func escaped(_ secret: String, ascii: Bool) -> [UInt8] {
        let text = JSONValue.string(secret).canonicalBytes().dropFirst().dropLast()
        guard ascii else { return Array(text) }
        var result = ""
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            guard !scalar.isASCII else {
                result.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return Array(result.utf8)
    }

    var isEmpty: Bool { secrets.isEmpty }

    package func cut(_ text: String) -> String {
        guard !isEmpty else { return text }
        return Self.cut(secrets, outOf: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) } ?? text
    }

    /// What a program wrote to whoever reads, as it wrote it: each line of a secret, too, since such words may begin in the middle
    /// of one.
    func cut(words: [UInt8]) -> [UInt8] { Self.cut(pieces, outOf: words) ?? words }

    /// - Returns: Nil where there is nothing to cut.
    private static func cut(_ secrets: [[UInt8]], outOf bytes: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        var start = 0
        var place = 0
        while place < bytes.count {
            guard let length = secret(secrets, at: place, in: bytes) else {
                place += 1
                continue
            }
            result += bytes[start..<place] + Self.mark.utf8
            place += length
            start = place
        }
        return start > 0 ? result + bytes[start...] : nil
    }

    /// Bytes are compared, not characters: a mark that is put behind a secret makes another character of its last one.
    private static func secret(_ secrets: [[UInt8]], at place: Int, in bytes: [UInt8]) -> Int? {
        for secret in secrets where bytes[place] == secret[0] && bytes.count - place >= secret.count {
            if bytes[place..<place + secret.count].elementsEqual(secret) { return secret.count }
        }
        return nil
    }

    /// Recursion follows the value, whose depth the reader has limited.
    package func cut(_ value: JSONValue) -> JSONValue {
        guard !isEmpty else { return value }
        switch value {
        case .null, .bool, .integer, .number: return value
        case .string(let text): return .string(cut(text))
        case .array(let elements): return .array(elements.map(cut))
        case .object(let members): return .object(JSONObject(members.map { (cut($0.key), cut($0.value)) }))
        }
    }
}
