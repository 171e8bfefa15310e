import EnsignModel

/// The forms in which a secret stands in text: as it is, in JSON within JSON, in an address, in base64.
///
/// Of a secret with several lines each long one is a secret by itself. What somebody hides on purpose has other forms.
enum SecretForms {
    /// Shorter lines of a longer value are no secrets: brackets and the like.
    private static let shortestLine = 8
    /// Fewer characters of base64 stand in ordinary text by chance.
    private static let shortestBase64 = 8

    static func all(of secret: String) -> [[UInt8]] {
        ([Array(secret.utf8)] + lines(of: secret)).flatMap(forms(of:))
    }

    /// The lines that frame a key (RFC 7468) stand in every other one.
    private static func lines(of secret: String) -> [[UInt8]] {
        let lines = secret.utf8.split { $0 == 0x0A || $0 == 0x0D }.map(Array.init)
        guard lines.count > 1 else { return [] }
        return lines.filter { $0.count >= shortestLine && !$0.starts(with: "-----".utf8) }
    }

    private static func forms(of secret: [UInt8]) -> [[UInt8]] {
        var forms = [secret]
        for ascii in [false, true] {
            let once = escaped(secret, ascii: ascii)
            forms += [once, escaped(once, ascii: ascii)]
        }
        for kept in [unreserved, unreserved + "/", unreserved + "!*'()", unreserved + "!*'();/?:@&=+$,#"] {
            for digits in [upper, lower] {
                let percent = percent(secret, kept: Array(kept.utf8), digits)
                // A form (application/x-www-form-urlencoded) has a plus sign for a blank.
                forms += [percent, Array(String(decoding: percent, as: UTF8.self).replacing("%20", with: "+").utf8)]
            }
        }
        for alphabet in [alphabet + "+/", alphabet + "-_"] {
            for before in 0..<3 {
                let text = base64(secret, before: before, Array(alphabet.utf8))
                if text.count >= shortestBase64 { forms.append(text) }
            }
        }
        return forms
    }

    // MARK: JSON

    /// The inside of a JSON text (RFC 8259, section 7): as little escaped as must be, or as much as some libraries do.
    private static func escaped(_ secret: [UInt8], ascii: Bool) -> [UInt8] {
        let text = JSONValue.string(String(decoding: secret, as: UTF8.self)).canonicalBytes().dropFirst().dropLast()
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

    // MARK: Addresses

    private static let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    /// RFC 3986, section 2.3.
    private static let unreserved = alphabet + "-._~"
    private static let upper = Array("0123456789ABCDEF".utf8)
    private static let lower = Array("0123456789abcdef".utf8)

    private static func percent(_ secret: [UInt8], kept: [UInt8], _ digits: [UInt8]) -> [UInt8] {
        secret.flatMap { byte in
            kept.contains(byte) ? [byte] : [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }

    // MARK: Base64

    /// The characters that follow from a secret alone where so many bytes stand before it, as a user's name does in
    /// `Authorization: Basic`.
    private static func base64(_ secret: [UInt8], before: Int, _ alphabet: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var bit = [0, 4, 2][before]
        while bit + 6 <= secret.count * 8 {
            let (byte, rest) = (bit / 8, bit % 8)
            let pair = UInt16(secret[byte]) << 8 | (byte + 1 < secret.count ? UInt16(secret[byte + 1]) : 0)
            result.append(alphabet[Int(pair >> UInt16(10 - rest) & 0x3F)])
            bit += 6
        }
        return result
    }
}
