import EnsignCrypto
import EnsignModel
package import EnsignPolicy

/// What one person answered to a request: a signature, or a token of an issuer that the operator trusts.
package enum ApprovalAnswer: Sendable, Hashable {
    case agreed(ApprovalRule.Signature)
    case denied(ApprovalRule.Signature)

    package var principal: String { signature.principal }

    /// Whose account at an issuer gave it; nil for a key.
    var account: ApprovalRule.Account? { signature.account }

    private var signature: ApprovalRule.Signature {
        switch self {
        case .agreed(let signature), .denied(let signature): signature
        }
    }

    var isDenial: Bool { if case .denied = self { true } else { false } }

    /// Why an answer does not count.
    package enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
        case unreadable(String)
        /// Signed for another purpose: namespace.
        case wrongNamespace(String)
        /// The signature is for other bytes.
        case otherRequest
        /// Signatures by keys of this type are not checked.
        case keyType(String)
        /// Nobody who may agree has this key now.
        case nobody
        /// By whoever asked for the call.
        case asker(String)
        case token(String)

        package var description: String {
            switch self {
            case .unreadable(let why): "it is not a signature: \(why)"
            case .wrongNamespace(let name):
                "it is signed for '\(name.onOneLine(utf8: 100))', and not for '\(GatewayPolicy.namespace)' or "
                    + "'\(GatewayPolicy.denialNamespace)'"
            case .keyType(let type): "keys of type '\(type)' are not checked: use an Ed25519 key"
            case .otherRequest: "it does not sign this request: other bytes, or another request"
            case .nobody: "nobody who may agree to this has that key now"
            case .asker(let name): "\(name.onOneLine(utf8: 200)) asked for this call, and so does not agree to it"
            case .token(let why): "the token does not count: \(why)"
            }
        }
    }

    /// Reads a signature of `ssh-keygen -Y sign` over a request's bytes. The namespace that was signed says whether it agrees.
    static func read(
        signature text: [UInt8],
        over request: ApprovalRequest,
        rule: ApprovalRule,
        now: Timestamp
    ) -> Result<ApprovalAnswer, Refusal> {
        let signature: SSHSignature
        do throws(SSHSignatureError) {
            signature = try SSHSignature(inCommit: text)
        } catch {
            return .failure(.unreadable(error.description))
        }
        let namespace = signature.namespace
        guard [GatewayPolicy.namespace, GatewayPolicy.denialNamespace].contains(namespace) else {
            return .failure(.wrongNamespace(namespace))
        }
        switch signature.verdict(on: request.bytes, namespace: namespace) {
        case .good: break
        case .unsupportedKeyType: return .failure(.keyType(signature.publicKey.typeName.cut(utf8: 64)))
        case .badSignature, .wrongNamespace: return .failure(.otherRequest)
        }
        let key = signature.publicKey.line
        // One key may stand for several people; each is somebody who may.
        let people = rule.people.keys.sorted().map { ApprovalRule.Signature(principal: $0, key: key) }
        guard let valid = people.first(where: { rule.accepts($0, at: now) }) else { return .failure(.nobody) }
        return .success(namespace == GatewayPolicy.namespace ? .agreed(valid) : .denied(valid))
    }

    /// Reads a token (JWT) of an issuer that the operator lists: its claim `ensign_request` names the request's digest,
    /// `ensign_decision` is `approve` or `deny`, and `email` or else `sub` is a principal who may agree.
    static func read(
        token text: [UInt8],
        over request: ApprovalRequest,
        rule: ApprovalRule,
        issuers: [TokenIssuer],
        now: Timestamp
    ) -> Result<ApprovalAnswer, Refusal> {
        let token = String(decoding: text, as: UTF8.self).filter { !$0.isWhitespace }
        let claims: JWTVerifier.Claims
        do throws(JWTVerifier.Refusal) {
            claims = try JWTVerifier.verify(token, issuers: issuers, now: now)
        } catch {
            return .failure(.token("\(error)"))
        }
        guard claims.members["ensign_request"]?.string == request.digest.description else {
            return .failure(.otherRequest)
        }
        let person = claims.verifiedEmail ?? claims.subject
        let account = ApprovalRule.Account(issuer: claims.issuer, subject: claims.subject)
        let signature = ApprovalRule.Signature(principal: person, proof: .issuer(account))
        guard rule.accepts(signature, at: now) else { return .failure(.nobody) }
        switch claims.members["ensign_decision"]?.string {
        case "approve": return .success(.agreed(signature))
        case "deny": return .success(.denied(signature))
        default: return .failure(.token("its claim 'ensign_decision' is neither 'approve' nor 'deny'"))
        }
    }
}

extension JWTVerifier.Claims {
    /// Nil also where the issuer says anything else than that somebody has looked whether the address is this person's (OpenID
    /// Connect Core 1.0, section 5.1). Some say so in a text; one that says nothing has none that are not.
    fileprivate var verifiedEmail: String? {
        let verified = members["email_verified"] ?? .bool(true)
        return verified == .bool(true) || verified == .string("true") ? members["email"]?.string : nil
    }
}
