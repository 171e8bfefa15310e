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
