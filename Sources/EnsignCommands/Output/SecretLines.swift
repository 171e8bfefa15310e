import EnsignModel

/// Which parts of a manifest's lines may hold a secret, as text alone tells: a file with mistakes has no structure.
///
/// What follows a key such as `password` is hidden, and so is everything below such a key, whatever shape it has. Too much
/// hidden is better than a secret in the log of a CI.
struct SecretLines {
    /// From which column on each line is hidden, counted from 0 in Unicode scalars; lines that are not are left out.
    private(set) var hidden: [Int: Int] = [:]

    init(_ lines: [ArraySlice<UInt8>]) {
        // The indentation of the key below which everything is hidden.
        var below: Int?
        for (number, bytes) in lines.enumerated() {
            let line = String(decoding: bytes, as: UTF8.self)
            let scalars = Array(line.unicodeScalars)
            guard let first = scalars.firstIndex(where: { $0 != " " && $0 != "\t" }) else { continue }
            if let indentation = below {
                let isItem = scalars[first] == "-" && first >= indentation
                if first > indentation || isItem {
                    hidden[number] = first
                    continue
                }
                below = nil
            }
            guard let key = Self.key(in: line) else { continue }
            hidden[number] = key.end
            below = key.start
        }
    }

    /// The first key with a telling name: where it starts, and where what belongs to it begins.
    private static func key(in line: String) -> (start: Int, end: Int)? {
        guard let match = line.firstMatch(of: telling) else { return nil }
        let scalars = line.unicodeScalars
        let start = scalars.distance(from: scalars.startIndex, to: match.range.lowerBound)
        let end = scalars.distance(from: scalars.startIndex, to: match.range.upperBound)
        return (start, end)
    }

    private static var telling: Regex<Substring> {
        /(?i)["']?[a-z0-9_-]*(?:credentials?|password|passwd|passphrase|secrets?|token|api[_-]?key|authorization|private[_-]?key)["']?\s*[:=]|\bref["']?\s*:/
    }
}

extension String {
    /// A text without what stands between `://` and `@` in its URLs: a name and a password.
    package var withoutUserInfo: String {
        replacing(/:\/\/[^\/@\s]*@/) { _ in "://***@" }
    }
}
