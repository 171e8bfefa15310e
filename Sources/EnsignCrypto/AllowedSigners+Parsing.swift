import EnsignModel

extension AllowedSigners {
    /// Reads a file. A line that cannot be used becomes a problem and the others are kept, whatever the bytes are.
    ///
    /// One thing differs from ssh-keygen: times without `Z` are UTC here. In ssh-keygen they are in the verifier's time
    /// zone, which would make the same commit good in one place and bad in another.
    ///
    /// Stricter than ssh-keygen: nothing but a space may follow a closing quote, and lines
    /// with control characters are refused. Keys of unknown types are kept, for signatures by such keys.
    ///
    /// - Returns: The usable lines, and the problems in the order of their lines, at most one for each.
    package static func parse(_ bytes: [UInt8]) -> (AllowedSigners, [Problem]) {
        var entries: [Entry] = []
        var problems: [Problem] = []
        let lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            // A carriage return before the line feed is part of the line's end.
            let line = line.last == 0x0D ? line.dropLast() : line
            var parser = AllowedSignersLine(line, number: index + 1)
            do {
                if let entry = try parser.entry() { entries.append(entry) }
            } catch {
                // Columns count scalars: every byte that does not continue one.
                let before = line.prefix(error.offset).count { $0 & 0xC0 != 0x80 }
                problems.append(Problem(line: index + 1, column: before + 1, message: error.message))
            }
        }
        return (AllowedSigners(entries: entries), problems)
    }
}

/// Reads one line, following the functions of OpenSSH's sshsig.c that are named at each step.
private struct AllowedSignersLine {
    /// What is wrong, and how many bytes of the line are before it.
    struct Problem: Error {
        let offset: Int
        let message: String
    }

    /// The options of a line.
    private struct Options {
        var isCertificateAuthority = false
        var namespaces: PatternList?
        var validAfter: Int64?
        var validBefore: Int64?
    }

    /// The names of options that have a value.
    private static let valued = ["namespaces", "valid-after", "valid-before"]

    private let bytes: [UInt8]
    private let number: Int
    private var position = 0

    init(_ line: ArraySlice<UInt8>, number: Int) {
        self.bytes = Array(line)
        self.number = number
    }

    /// Reads the line (`parse_principals_key_and_options`).
    ///
    /// - Returns: nil for blank lines and comments.
    mutating func entry() throws(Problem) -> AllowedSigners.Entry? {
        skipBlanks()
        guard let first = peek(), first != UInt8(ascii: "#") else { return nil }
        if let control = bytes.firstIndex(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F }) {
            throw Problem(offset: control, message: "a control character")
        }
        let principals = try principals()
        skipBlanks()
        guard peek() != nil else { throw Problem(offset: position, message: "no key after the principals") }
        let options = try optionsAhead() ? options() : Options()
        skipBlanks()
        let key = try key()
        skipBlanks()
        let comment = bytes[position...].reversed().drop { Self.isBlank($0) }.reversed()
        return AllowedSigners.Entry(
            line: number,
            principals: principals,
            isCertificateAuthority: options.isCertificateAuthority,
            namespaces: options.namespaces,
            validAfter: options.validAfter,
            validBefore: options.validBefore,
            key: key,
            comment: String(decoding: comment, as: UTF8.self)
        )
    }

    /// Reads the principals: up to a blank, or with one quoted part that may contain blanks (`strdelimw`).
    private mutating func principals() throws(Problem) -> PatternList {
        let start = position
        var text = take { !Self.isBlank($0) && $0 != UInt8(ascii: "\"") }
        if peek() == UInt8(ascii: "\"") {
            let quote = position
            position += 1
            text += take { $0 != UInt8(ascii: "\"") }
            guard peek() != nil else { throw Problem(offset: quote, message: "the quote is never closed") }
            position += 1
            try expectBlank(after: "the closing quote")
        }
        guard let patterns = PatternList(text) else {
            throw Problem(
                offset: start,
                message: "the principals are not a list of patterns of 1 to 1022 bytes in UTF-8"
            )
        }
        return patterns
    }

    /// Whether options come next, and not the key.
    private func optionsAhead() -> Bool {
        let field = bytes[position...].prefix { !Self.isBlank($0) }
        let name = Self.lowercased(field)
        return name == "cert-authority" || Self.valued.contains(name)
            || field.contains(where: Self.endsName)
    }

    /// Reads the options (`sshsigopt_parse`).
    private mutating func options() throws(Problem) -> Options {
        var options = Options()
        while true {
            let start = position
            let name = Self.lowercased(take { !Self.isBlank($0) && !Self.endsName($0) })
            switch name {
            case "cert-authority":
                options.isCertificateAuthority = true
            case "namespaces":
                guard options.namespaces == nil else { throw repeated(name, at: start) }
                let (value, offset) = try quotedValue(of: name)
                guard let namespaces = PatternList(value) else {
                    let message = "'namespaces' is not a list of patterns of 1 to 1022 bytes in UTF-8"
                    throw Problem(offset: offset, message: message)
                }
                options.namespaces = namespaces
            case "valid-after":
                guard options.validAfter == nil else { throw repeated(name, at: start) }
                options.validAfter = try time(of: name)
            case "valid-before":
                guard options.validBefore == nil else { throw repeated(name, at: start) }
                options.validBefore = try time(of: name)
            default:
                throw Problem(offset: start, message: "unknown option '\(name.cut(utf8: 64))'")
            }
            if let after = options.validAfter, let before = options.validBefore, before <= after {
                throw Problem(offset: start, message: "'valid-before' is not later than 'valid-after'")
            }
            guard peek() == UInt8(ascii: ",") else { break }
            position += 1
        }
        try expectBlank(after: "the options")
        return options
    }

    /// Reads `="..."`; within the quotes `\"` means a quote (`opt_dequote`).
    ///
    /// - Returns: The value, and the offset of its opening quote.
    private mutating func quotedValue(of name: String) throws(Problem) -> (value: [UInt8], offset: Int) {
        guard peek() == UInt8(ascii: "=") else {
            throw Problem(offset: position, message: "'\(name)' needs a value: \(name)=\"...\"")
        }
        position += 1
        let start = position
        guard peek() == UInt8(ascii: "\"") else {
            throw Problem(offset: position, message: "the value of '\(name)' must be in quotes")
        }
        position += 1
        var value: [UInt8] = []
        while let byte = peek(), byte != UInt8(ascii: "\"") {
            if byte == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "\"") {
                position += 1
            }
            value.append(bytes[position])
            position += 1
        }
        guard peek() != nil else { throw Problem(offset: start, message: "the quote is never closed") }
        position += 1
        return (value, start)
    }

    /// Reads `="YYYYMMDD[HHMM[SS]][Z]"`.
    private mutating func time(of name: String) throws(Problem) -> Int64 {
        let (value, offset) = try quotedValue(of: name)
        guard let seconds = SSHTimestamp.seconds(value) else {
            throw Problem(offset: offset, message: "the value of '\(name)' is not a time: YYYYMMDD[HHMM[SS]][Z]")
        }
        return seconds
    }

    /// Reads the type and the base64 of the key (`sshkey_read`).
    private mutating func key() throws(Problem) -> SSHPublicKey {
        let typeStart = position
        let type = take { !Self.isBlank($0) }
        guard !type.isEmpty else { throw Problem(offset: typeStart, message: "no key after the options") }
        skipBlanks()
        let start = position
        let base64 = take { !Self.isBlank($0) }
        guard !base64.isEmpty else {
            throw Problem(offset: typeStart, message: "expected options or a key: a type and base64 after it")
        }
        do {
            return try SSHPublicKey(type: type, base64: base64)
        } catch {
            throw Problem(offset: start, message: "\(error)")
        }
    }

    /// A problem with an option that appears twice.
    private func repeated(_ name: String, at offset: Int) -> Problem {
        Problem(offset: offset, message: "'\(name)' is there twice")
    }

    /// Checks that the line ends here or a blank follows.
    private func expectBlank(after what: String) throws(Problem) {
        guard let next = peek(), !Self.isBlank(next) else { return }
        throw Problem(offset: position, message: "expected a space after \(what)")
    }

    /// The next byte; nil at the end.
    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    /// Reads while `isIncluded` holds.
    private mutating func take(while isIncluded: (UInt8) -> Bool) -> [UInt8] {
        let taken = Array(bytes[position...].prefix(while: isIncluded))
        position += taken.count
        return taken
    }

    /// Skips spaces and tabs.
    private mutating func skipBlanks() {
        while let byte = peek(), Self.isBlank(byte) { position += 1 }
    }

    /// Whether `byte` is a space or a tab.
    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// Whether `byte` ends the name of an option; none of these can be in the name of a key type.
    private static func endsName(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "=") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\"")
    }

    /// The text of `bytes`, with ASCII letters in lowercase: option names ignore case.
    private static func lowercased(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}
