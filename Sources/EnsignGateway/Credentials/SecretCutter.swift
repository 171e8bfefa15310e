package import EnsignModel

/// Cuts secrets out of what a server answers: a server may echo what it was given.
///
/// Values as they are and in the forms of ``SecretForms``, wherever text is: members' names too. Bytes are compared, not
/// characters: a mark that is put behind a secret makes another character of its last one.
package struct SecretCutter: Sendable {
    /// By their first two bytes, the longer ones first.
    private let forms: [UInt16: [[UInt8]]]
    /// Which first two bytes there are, a bit each: most places of a text are none.
    private let beginnings: [UInt8]

    static let mark = "[credentials]"
    /// Shorter values are everywhere in ordinary text, and are not secrets worth the name.
    static let shortest = 4

    /// - Parameter secrets: In any order; of one within another the longer is cut.
    package init(_ secrets: [String]) {
        var forms: [UInt16: [[UInt8]]] = [:]
        var beginnings: [UInt8] = []
        for form in Set(secrets.flatMap(SecretForms.all(of:))) where form.count >= Self.shortest {
            if beginnings.isEmpty { beginnings = [UInt8](repeating: 0, count: 8_192) }
            let beginning = Self.beginning(form, 0)
            forms[beginning, default: []].append(form)
            beginnings[Int(beginning >> 3)] |= 1 << (beginning & 7)
        }
        self.forms = forms.mapValues { $0.sorted { $0.count > $1.count } }
        self.beginnings = beginnings
    }

    private static func beginning(_ bytes: [UInt8], _ place: Int) -> UInt16 {
        UInt16(bytes[place]) << 8 | UInt16(bytes[place + 1])
    }

    var isEmpty: Bool { forms.isEmpty }

    package func cut(_ text: String) -> String {
        guard !isEmpty else { return text }
        return cutting(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) } ?? text
    }

    /// What a program wrote to whoever reads, as it wrote it.
    func cut(words: [UInt8]) -> [UInt8] { isEmpty ? words : cutting(words) ?? words }

    /// - Returns: Nil where there is nothing to cut.
    private func cutting(_ bytes: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        var start = 0
        var place = 0
        while place + 1 < bytes.count {
            guard let length = secret(at: place, in: bytes) else {
                place += 1
                continue
            }
            result += bytes[start..<place] + Self.mark.utf8
            place += length
            start = place
        }
        return start > 0 ? result + bytes[start...] : nil
    }

    private func secret(at place: Int, in bytes: [UInt8]) -> Int? {
        let beginning = Self.beginning(bytes, place)
        guard beginnings[Int(beginning >> 3)] & (1 << (beginning & 7)) != 0 else { return nil }
        for form in forms[beginning] ?? [] where bytes.count - place >= form.count {
            if bytes[place..<place + form.count].elementsEqual(form) { return form.count }
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
