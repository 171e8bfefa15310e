package import EnsignCrypto
import EnsignJSON
import EnsignModel

/// The public keys of an identity provider: a JSON Web Key Set (RFC 7517).
package struct TokenKeys: Sendable, Hashable {
    package struct Key: Sendable, Hashable {
        /// `kid`; nil where it has none.
        package var name: String?
        package var key: TokenKey
    }

    package private(set) var keys: [Key] = []

    /// The most bytes of a file, and the most keys that are used of it.
    package static let maxBytes = 1 << 20
    package static let most = 100

    /// Reads a set. Keys for other algorithms or for encryption are left out.
    ///
    /// - Throws: ``ReadingFailure`` for what is not a set, and for one without a key that can be used.
    package init(_ bytes: [UInt8]) throws(ReadingFailure) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONParser.parse(bytes) } catch { throw .notASet(error.description) }
        guard let list = value["keys"]?.array else { throw .notASet("it has no list 'keys'") }
        for entry in list.prefix(Self.most) {
            guard entry["use"]?.string ?? "sig" == "sig", let key = Self.key(entry),
                entry["alg"]?.string ?? key.algorithm == key.algorithm
            else { continue }
            keys.append(Key(name: entry["kid"]?.string, key: key))
        }
        guard !keys.isEmpty else { throw .noKey }
    }

    package enum ReadingFailure: Error, Sendable, Hashable, CustomStringConvertible {
        case notASet(String)
        case noKey

        package var description: String {
            switch self {
            case .notASet(let why): "it is not a JSON Web Key Set: \(why)"
            case .noKey: "it has no key for RS256, ES256 or EdDSA"
            }
        }
    }

    private static func key(_ entry: JSONValue) -> TokenKey? {
        func number(_ name: String) -> [UInt8]? { entry[name]?.string.flatMap { Base64.decode($0, padding: .url) } }
        switch entry["kty"]?.string {
        case "RSA":
            guard let modulus = number("n"), let exponent = number("e"), (256...1_024).contains(modulus.count) else {
                return nil
            }
            return .rsa(modulus: modulus, exponent: exponent)
        case "EC":
            guard entry["crv"]?.string == "P-256", let x = number("x"), let y = number("y"), x.count == 32,
                y.count == 32
            else { return nil }
            return .p256(point: x + y)
        case "OKP":
            guard entry["crv"]?.string == "Ed25519", let x = number("x"), x.count == 32 else { return nil }
            return .ed25519(x)
        default: return nil
        }
    }
}
