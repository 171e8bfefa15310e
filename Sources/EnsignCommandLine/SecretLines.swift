import EnsignModel

/// Which parts of a manifest's lines may hold a secret, as text alone tells: a file with mistakes has no structure.
///
/// What follows a key such as `password`, or an option such as `--password`, is hidden, and so is everything below it, whatever
/// shape it has. Too much hidden is better than a secret in the log of a CI.
struct SecretLines {
    /// From which column on each line is hidden, counted from 0 in Unicode scalars; lines that are not are left out.
    private(set) var hidden: [Int: Int] = [:]

    /// A longer line is hidden as a whole.
    private static let maxLine = 4_096

    init(_ lines: [ArraySlice<UInt8>]) {
        // The indentation of the key below which everything is hidden.
        var below: Int?
        for (number, bytes) in lines.enumerated() {
            guard let first = bytes.firstIndex(where: { $0 != 0x20 && $0 != 0x09 }) else { continue }
            let indentation = first - bytes.startIndex
            guard bytes.count <= Self.maxLine else {
                hidden[number] = 0
                continue
            }
            if let key = below {
                // A comment ends nothing, wherever it is.
                let isItem = bytes[first] == UInt8(ascii: "-") && indentation >= key
                if indentation > key || isItem || bytes[first] == UInt8(ascii: "#") {
                    hidden[number] = indentation
                    continue
                }
                below = nil
            }
            let line = Array(bytes)
            let option = Self.option(in: line).map { (start: indentation, end: $0) }
            let found = [Self.key(in: line), option].compactMap { $0 }
            guard let key = found.min(by: { $0.end < $1.end }) else { continue }
            hidden[number] = String(decoding: bytes.prefix(key.end), as: UTF8.self).unicodeScalars.count
            below = key.start
        }
    }

    private static let telling = [
        "credentials", "credential", "password", "passwd", "passphrase", "secrets", "secret", "token", "apikey",
        "api_key", "api-key", "authorization", "privatekey", "private_key", "private-key",
    ].map { Array($0.utf8) }

    /// The first key with a telling name: where it starts, and where what belongs to it begins.
    private static func key(in line: [UInt8]) -> (start: Int, end: Int)? {
        let lower = line.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        for end in lower.indices where lower[end] == UInt8(ascii: ":") || lower[end] == UInt8(ascii: "=") {
            // The word that ends before the sign, without the quotation mark and the blanks between.
            var last = end
            while last > 0, lower[last - 1] == 0x20 || lower[last - 1] == 0x09 { last -= 1 }
            if last > 0, lower[last - 1] == UInt8(ascii: "\"") || lower[last - 1] == UInt8(ascii: "'") { last -= 1 }
            var start = last
            while start > 0, isNamePart(lower[start - 1]) { start -= 1 }
            let name = lower[start..<last]
            let isReference = name.elementsEqual("ref".utf8)
            guard isReference || telling.contains(where: { name.suffix($0.count).elementsEqual($0) }) else { continue }
            return (start, end + 1)
        }
        return nil
    }

    /// Where the first word of a command ends that asks for a secret, such as `--password`: what follows is given to it, in
    /// the same line or in those below.
    private static func option(in line: [UInt8]) -> Int? {
        let lower = line.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        var start = lower.startIndex
        while start < lower.endIndex {
            let word = lower[start...].prefix(while: isNamePart)
            if word.first == UInt8(ascii: "-"), telling.contains(where: { word.suffix($0.count).elementsEqual($0) }) {
                return word.endIndex
            }
            start = word.endIndex + 1
        }
        return nil
    }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x61...0x7A, 0x30...0x39, 0x2D, 0x5F: true
        default: false
        }
    }
}
