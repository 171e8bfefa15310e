import EnsignModel

/// Literal secrets that a text gives to a name: `export API_KEY=abc`, `--header=Authorization: Bearer abc`,
/// `https://host/?apiKey=abc`, `{"token": "abc"}`, `--token abc`, `/token:abc`, `${API_KEY:-abc}`.
///
/// A text is a word of a command, a value, or a script: nobody knows its language. What is written is held against the names
/// before it, in the forms that shells, headers, URLs, JSON and programs have in common.
struct SecretAssignments {
    private let text: ArraySlice<UInt8>

    /// A name and the literal secret that it is given.
    typealias Found = (name: String, value: String)

    /// The first name that is given a literal secret; nil when there is none. Takes time in proportion to the text.
    static func first(in text: ArraySlice<UInt8>) -> Found? { SecretAssignments(text: text).first }

    /// Nobody writes longer ones, and the search must end.
    private static let (mostName, mostValue) = (80, 256)

    private var first: Found? {
        if let secret = loneSecret { return secret }
        for index in text.indices {
            switch text[index] {
            case UInt8(ascii: "="), UInt8(ascii: ":"):
                if let name = name(before: index), let value = secret(of: name, index) {
                    return (shown(name.text), value)
                }
            case UInt8(ascii: "-") where isWordStart(index):
                if let found = option(at: index) { return (shown(found.name), found.value) }
            default: break
            }
        }
        return nil
    }

    /// `Bearer abc`: what a header would have, alone.
    private var loneSecret: Found? {
        guard text.count <= Self.mostValue else { return nil }
        let words = text.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 2, ["bearer", "basic"].contains(words[0].lowercased()),
            !SecretNames.isPlaceholder(words[1]), words[1].lowercased() != "auth"
        else { return nil }
        return (words[0], words[1])
    }

    private func shown(_ name: String) -> String {
        String(name.drop { $0 == "-" || $0 == "." }).cut(utf8: 60)
    }

    // MARK: Names and signs

    /// A name before `=` or `:`.
    private struct Name {
        var text: String
        var start: Int
        var isQuoted: Bool
        var hasBlank: Bool
    }

    private func name(before sign: Int) -> Name? {
        var end = sign
        while end > text.startIndex, sign - end < 8, isBlank(text[end - 1]) { end -= 1 }
        let hasBlank = end < sign
        var isQuoted = false
        // environ["NAME"]
        if end > text.startIndex, text[end - 1] == UInt8(ascii: "]") { end -= 1 }
        if end > text.startIndex, isQuote(text[end - 1]) {
            isQuoted = true
            end -= 1
            // Within another quotation: \"name\".
            if end > text.startIndex, text[end - 1] == Self.backslash { end -= 1 }
        }
        var start = end
        while start > text.startIndex, end - start < Self.mostName, isName(text[start - 1]) { start -= 1 }
        guard start < end else { return nil }
        let words = String(decoding: text[start..<end], as: UTF8.self)
        return Name(text: words, start: start, isQuoted: isQuoted, hasBlank: hasBlank)
    }

    /// The literal secret that a name is given by the sign behind it; nil when there is none.
    private func secret(of name: Name, _ sign: Int) -> String? {
        // Options that are written on to their values: curl's -H, Java's -D.
        let bare =
            name.text.hasPrefix("-H") || name.text.hasPrefix("-D") ? String(name.text.dropFirst(2)) : name.text
        guard SecretNames.mayHold(bare) else { return nil }
        var start = sign + 1
        var isDefault = false
        if start < text.endIndex {
            switch (text[sign], text[start]) {
            // ${NAME:-value}
            case (UInt8(ascii: ":"), UInt8(ascii: "-")), (UInt8(ascii: ":"), UInt8(ascii: "=")):
                isDefault = isBehindBrace(name)
                if isDefault || text[start] == UInt8(ascii: "=") { start += 1 }
            // Comparisons, arrows, paths of modules, schemes of addresses.
            // ${NAME:?message}
            case (UInt8(ascii: ":"), UInt8(ascii: "?")), (UInt8(ascii: ":"), UInt8(ascii: "+")):
                if isBehindBrace(name) { return nil }
            case (_, UInt8(ascii: "=")), (_, UInt8(ascii: ">")), (_, UInt8(ascii: ":")): return nil
            case (UInt8(ascii: ":"), UInt8(ascii: "/"))
            where start + 1 < text.endIndex && text[start + 1] == text[start]:
                return nil
            default: break
            }
        }
        let afterSign = start
        while start < text.endIndex, start - sign < 8, isBlank(text[start]) { start += 1 }
        let hasBlank = name.hasBlank || start > afterSign
        guard let value = value(at: start), !value.text.isEmpty else { return nil }
        if !value.isQuoted {
            // An object begins, or a program computes it.
            let isObject = value.text.hasPrefix("{") && !value.text.hasSuffix("}")
            guard !isObject, !value.text.contains("("), !value.text.contains("["), !value.text.contains(".env") else {
                return nil
            }
            if text[sign] == UInt8(ascii: ":"), !isDefault {
                guard name.isQuoted || isHeaderStart(name.start) else { return nil }
            } else if hasBlank, !SecretNames.looksMade(value.text) {
                return nil
            }
        }
        // {token: token}
        guard value.text != bare else { return nil }
        return SecretNames.isSecret(value.text, under: bare) ? value.text : nil
    }

    /// Whether a header's name may begin here, or an option's as Windows writes them (`/token:abc`), and not a word of a
    /// sentence.
    private func isHeaderStart(_ index: Int) -> Bool {
        guard index > text.startIndex else { return true }
        let before = text[index - 1]
        return isQuote(before) || before == 0x0A || before == UInt8(ascii: "=") || before == UInt8(ascii: "{")
            || isBlank(before) && index - text.startIndex < 8 && text[..<index].allSatisfy(isBlank)
            || before == UInt8(ascii: "/") && isWordStart(index - 1)
    }

    private func isBehindBrace(_ name: Name) -> Bool {
        name.start > text.startIndex && text[name.start - 1] == UInt8(ascii: "{")
    }

    // MARK: Options

    private func isWordStart(_ index: Int) -> Bool {
        index == text.startIndex || isBlank(text[index - 1]) || text[index - 1] == 0x0A || isQuote(text[index - 1])
    }

    /// `--token abc`.
    private func option(at index: Int) -> Found? {
        var end = index
        while end < text.endIndex, end - index < Self.mostName, isName(text[end]) { end += 1 }
        let name = String(decoding: text[index..<end], as: UTF8.self)
        guard SecretNames.mayHold(name) else { return nil }
        if end < text.endIndex, isQuote(text[end]) { end += 1 }
        var start = end
        if start < text.endIndex, text[start] == UInt8(ascii: ",") { start += 1 }
        while start < text.endIndex, start - end < 8, isBlank(text[start]) { start += 1 }
        guard start > end, let value = value(at: start), !value.text.hasPrefix("-") else { return nil }
        return SecretNames.isSecret(value.text, under: name) ? (name, value.text) : nil
    }

    // MARK: Values

    /// Words before what lets somebody in: RFC 9110, section 11.
    private static let schemes: Set = ["bearer", "basic", "token", "apikey", "api-key", "bot", "key", "digest"]

    private func value(at start: Int) -> (text: String, isQuoted: Bool)? {
        guard start < text.endIndex else { return nil }
        var (start, quote): (Int, UInt8?) = (start, nil)
        // $'value', as shells quote escapes.
        if text[start] == UInt8(ascii: "$"), start + 1 < text.endIndex, isQuote(text[start + 1]) { start += 1 }
        if text[start] == Self.backslash, start + 1 < text.endIndex, isQuote(text[start + 1]) { start += 1 }
        if isQuote(text[start]) {
            quote = text[start]
            start += 1
        }
        var words = self.words(from: start, until: quote)
        if words.count > 1, let scheme = words.first, Self.schemes.contains(scheme.lowercased()) { words.removeFirst() }
        guard quote == nil else { return (words.joined(separator: " "), true) }
        // An unquoted value is one word; what closes an object is not part of it.
        var word = words.first ?? ""
        while word.hasSuffix("}"), !word.contains("{") { word.removeLast() }
        return (word, false)
    }

    /// The words of a value: all within quotes, two elsewhere.
    private func words(from start: Int, until quote: UInt8?) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        for byte in text[start...].prefix(Self.mostValue) {
            let isEnd = quote.map { byte == $0 || byte == Self.backslash } ?? isDelimiter(byte)
            if isEnd || byte == 0x20 {
                if !word.isEmpty { words.append(String(decoding: word, as: UTF8.self)) }
                word = []
                if isEnd || quote == nil && words.count == 2 { return words }
            } else {
                word.append(byte)
            }
        }
        if !word.isEmpty { words.append(String(decoding: word, as: UTF8.self)) }
        return words
    }

    // MARK: Bytes

    private static let backslash = UInt8(ascii: "\\")

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    private func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") }
    private func isName(_ byte: UInt8) -> Bool {
        SecretNames.isNamePart(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }

    private func isDelimiter(_ byte: UInt8) -> Bool {
        byte < 0x20 || ";&|,)]>#\"'".utf8.contains(byte)
    }
}
