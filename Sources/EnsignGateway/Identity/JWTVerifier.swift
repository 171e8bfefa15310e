import EnsignCrypto
import EnsignJSON
package import EnsignModel

/// Whose tokens count: one issuer, for one audience, with its keys.
package struct TokenIssuer: Sendable, Hashable {
    package var issuer: String
    package var audience: String
    package var keys: TokenKeys

    package init(issuer: String, audience: String, keys: TokenKeys) {
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
    }
}

/// Reads signed tokens of identity providers: JWS in compact form (RFC 7515) with JWT claims (RFC 7519).
///
/// Three algorithms and no others: RS256, ES256, EdDSA. The key says which one it is for, never the token (RFC 8725, sections
/// 3.1 and 3.2).
package enum JWTVerifier {
    /// What a token says that holds.
    package struct Claims: Sendable, Hashable {
        package var issuer: String
        package var subject: String
        package var audience: String
        package var expires: Timestamp
        /// All of them.
        package var members: JSONObject
    }

    package enum Refusal: Error, Sendable, Hashable {
        /// Not a token of the form that is read, for this reason.
        case malformed(String)
        /// Its algorithm is none of the three.
        case algorithm
        case unknownIssuer
        case wrongAudience
        /// No key of the issuer made the signature.
        case badSignature
        case expired
        case notYet
        /// A claim that must be there: `sub`, `exp`.
        case missing(String)
    }

    /// The most bytes of a token.
    package static let maxBytes = 16_384
    /// How far two clocks may differ, in seconds.
    package static let leeway: Int64 = 60

    /// What a token says, if one of the issuers made it for its audience and it holds now.
    package static func verify(
        _ token: String,
        issuers: [TokenIssuer],
        now: Timestamp
    ) throws(Refusal) -> Claims {
        guard token.utf8.count <= maxBytes else { throw .malformed("it is longer than \(maxBytes) bytes") }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let signature = Base64.decode(String(parts[2]), padding: .url) else {
            throw .malformed("it does not have three parts")
        }
        let header = try object(parts[0])
        // What changes how a token is read is not understood here (RFC 7515, section 4.1.11).
        guard header["crit"] == nil else { throw .malformed("its header has 'crit'") }
        let algorithm = header["alg"]?.string ?? ""
        guard ["RS256", "ES256", "EdDSA"].contains(algorithm) else { throw .algorithm }
        let claims = try object(parts[1])
        let named = issuers.filter { same($0.issuer, claims["iss"]?.string) }
        guard !named.isEmpty else { throw .unknownIssuer }
        let listed = claims["aud"]?.array ?? [claims["aud"]].compactMap { $0 }
        let audiences = listed.compactMap(\.string)
        guard audiences.count == listed.count else { throw .malformed("its 'aud' has what is no text") }
        let message = Array("\(parts[0]).\(parts[1])".utf8)
        let name = header["kid"]?.string
        guard name != nil || header["kid"] == nil else { throw .malformed("its 'kid' is no text") }
        let signers = named.filter { issuer in
            issuer.keys.keys.contains { key in
                key.key.algorithm == algorithm && (name == nil || key.name == nil || same(key.name ?? "", name))
                    && key.key.verifies(signature, of: message)
            }
        }
        guard !signers.isEmpty else { throw .badSignature }
        guard let issuer = signers.first(where: { issuer in audiences.contains { same(issuer.audience, $0) } }) else {
            throw .wrongAudience
        }
        return try checked(claims, issuer, now)
    }

    private static func checked(
        _ claims: JSONObject,
        _ issuer: TokenIssuer,
        _ now: Timestamp
    ) throws(Refusal) -> Claims {
        guard let expires = seconds(claims["exp"]) else { throw .missing("exp") }
        guard now.seconds < expires.adding(saturating: leeway) else { throw .expired }
        if let begins = claims["nbf"] {
            guard let begins = seconds(begins) else { throw .malformed("its 'nbf' is not a time") }
            guard now.seconds >= begins.adding(saturating: -leeway) else { throw .notYet }
        }
        guard let subject = claims["sub"]?.string, !subject.isEmpty else { throw .missing("sub") }
        return Claims(
            issuer: issuer.issuer,
            subject: subject,
            audience: issuer.audience,
            expires: Timestamp(seconds: expires),
            members: claims
        )
    }

    private static func object(_ part: Substring) throws(Refusal) -> JSONObject {
        guard let bytes = Base64.decode(String(part), padding: .url) else {
            throw .malformed("a part is not base64url")
        }
        guard let object = (try? JSONParser.parse(bytes))?.object else {
            throw .malformed("a part is not a JSON object")
        }
        return object
    }

    /// A NumericDate: seconds, which may have a fraction.
    private static func seconds(_ value: JSONValue?) -> Int64? {
        guard let double = value?.double, double.magnitude < 1e15 else { return nil }
        return Int64(double)
    }

    /// Code points, never what Unicode holds for the same.
    private static func same(_ one: String, _ other: String?) -> Bool {
        other.map { one.utf8.elementsEqual($0.utf8) } ?? false
    }
}

extension JWTVerifier.Refusal: CustomStringConvertible {
    package var description: String {
        switch self {
        case .malformed(let why): "the token cannot be read: \(why)"
        case .algorithm: "the token is not signed with RS256, ES256 or EdDSA"
        case .unknownIssuer: "the token's issuer is not one of the operator's"
        case .wrongAudience: "the token is for another audience"
        case .badSignature: "no key of the issuer made the token's signature"
        case .expired: "the token has expired"
        case .notYet: "the token is not valid yet"
        case .missing(let claim): "the token has no '\(claim)'"
        }
    }
}
