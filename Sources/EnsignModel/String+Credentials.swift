extension String {
    /// The text without the names and passwords in its addresses: what is between `//` and the last `@` before the
    /// path (RFC 3986, section 3.2).
    package var withoutUserInfo: String {
        guard utf8.contains(UInt8(ascii: "@")) else { return self }
        var text = ""
        var rest = self[...]
        while let slashes = rest.firstRange(of: "//") {
            text += rest[..<slashes.upperBound]
            rest = rest[slashes.upperBound...]
            let authority = rest.prefix { $0 != "/" && $0 != "'" && $0 != "\"" && !$0.isWhitespace }
            if let at = authority.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        }
        return text + rest
    }
}

extension String {
    /// The text without what may be secret in its addresses: names and passwords, and the values behind a `?` or `#`.
    package var withoutCredentials: String {
        let plain = withoutUserInfo
        guard plain.contains("//") else { return plain }
        var text = ""
        var rest = plain[...]
        while let slashes = rest.firstRange(of: "//") {
            text += rest[..<slashes.upperBound]
            rest = rest[slashes.upperBound...]
            let address = rest.prefix { $0 != "'" && $0 != "\"" && !$0.isWhitespace }
            guard let start = address.firstIndex(where: { $0 == "?" || $0 == "#" }) else { continue }
            text += rest[..<start] + Self.masked(rest[start..<address.endIndex])
            rest = rest[address.endIndex...]
        }
        return text + rest
    }

    /// `?a=1&b` as `?a=***&***`.
    private static func masked(_ query: Substring) -> String {
        var text = ""
        var rest = query
        while let separator = rest.first {
            rest = rest.dropFirst()
            let part = rest.prefix { !"?#&;".contains($0) }
            let name = part.firstIndex(of: "=").map { part[...$0] } ?? ""
            text += "\(separator)\(name)\(part.count > name.count ? "***" : "")"
            rest = rest[part.endIndex...]
        }
        return text
    }
}
