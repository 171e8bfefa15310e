/// An address and a port to listen on: `127.0.0.1:7411`, `[::1]:7411`.
package struct ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// Without brackets.
    package let host: String
    package let port: UInt16

    /// Parses an address of IPv4, or of IPv6 in brackets, and a port that is not 0; nil for anything else, names among it.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 64, let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits), port > 0 else {
            return nil
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            guard host.contains(":"), host.utf8.allSatisfy(Self.isV6Byte) else { return nil }
        } else {
            let parts = host.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 4, parts.allSatisfy({ UInt8($0) != nil && ($0 == "0" || !$0.hasPrefix("0")) }) else {
                return nil
            }
        }
        (self.host, self.port) = (host, port)
    }

    private static func isV6Byte(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20) || byte == 0x3A || byte == 0x2E
    }

    /// Whether only this machine reaches it.
    package var isLoopback: Bool { host == "::1" || host.hasPrefix("127.") }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Where a server of HTTP is, as far as it decides who reads what is sent there (RFC 3986, section 3).
package struct WebAddress: Sendable, Hashable {
    package let isEncrypted: Bool
    /// In small letters, without brackets.
    package let host: String
    package let port: Int
    /// With its query; `/` where there is none.
    package let path: String

    /// Parses `http://` and `https://` addresses without user information or fragment; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let isPlain: Bool
        if text.hasPrefix("https://") {
            isPlain = false
        } else if text.hasPrefix("http://") {
            isPlain = true
        } else {
            return nil
        }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x5C }), !text.contains("#") else {
            return nil
        }
        let rest = text.dropFirst(isPlain ? 7 : 8)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.isEmpty, !authority.contains("@") else { return nil }
        var host = authority
        var port = isPlain ? 80 : 443
        let isBracketed = authority.hasPrefix("[")
        if let colon = authority.lastIndex(of: ":"), !isBracketed || authority[..<colon].hasSuffix("]") {
            guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else { return nil }
            (host, port) = (authority[..<colon], Int(number))
        }
        if isBracketed {
            guard host.hasSuffix("]") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") || host.contains("[") {
            return nil
        }
        guard !host.isEmpty else { return nil }
        isEncrypted = !isPlain
        self.host = host.lowercased()
        self.port = port
        let path = String(rest[authority.endIndex...])
        self.path = path.hasPrefix("/") ? path : "/" + path
    }

    /// Whether it is this machine. `localhost` is what the machine's own files say.
    package var isLoopback: Bool { host == "localhost" || host == "::1" || isLoopbackV4 }

    private var isLoopbackV4: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
