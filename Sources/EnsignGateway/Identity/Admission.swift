import EnsignCrypto
package import EnsignModel
package import EnsignPolicy
import EnsignSystem
import Synchronization

/// Who a peer is: the operator's file decides, and nothing that the peer says of itself.
package final class Admission: Sendable {
    private struct Identity: Sendable {
        var agent: AgentID
        var principal: String?
    }

    private struct Subject: Hashable {
        var issuer: String
        var audience: String
        var subject: String
    }

    private let tokens: [Digest: Identity]
    private let accounts: [UInt32: [Identity]]
    private let subjects: [Subject: Identity]
    private let principals: [AgentID: Set<String>]
    private let own: [AgentID: Set<ApprovalRule.Account>]
    private let issuers: [GatewayFile.IssuerLine]
    private let keys: KeyShelf
    private let clock: @Sendable () -> Timestamp

    package init(
        _ file: GatewayFile,
        keys: KeyShelf,
        clock: @escaping @Sendable () -> Timestamp = { Timestamp(seconds: Machine.now) }
    ) {
        var tokens: [Digest: Identity] = [:]
        var accounts: [UInt32: [Identity]] = [:]
        var subjects: [Subject: Identity] = [:]
        var principals: [AgentID: Set<String>] = [:]
        var own: [AgentID: Set<ApprovalRule.Account>] = [:]
        var issuers: [GatewayFile.IssuerLine] = []
        for line in file.agents {
            let identity = Identity(agent: line.agent, principal: line.principal)
            if let principal = line.principal { principals[line.agent, default: []].insert(principal) }
            switch line.proof {
            case .token(let digest): tokens[digest] = identity
            case .account(let uid): accounts[uid, default: []].append(identity)
            case .jwt(let issuer, let subject):
                subjects[Subject(issuer: issuer.issuer, audience: issuer.audience, subject: subject)] = identity
                issuers.append(issuer)
                own[line.agent, default: []].insert(ApprovalRule.Account(issuer: issuer.issuer, subject: subject))
            }
        }
        (self.tokens, self.accounts, self.subjects) = (tokens, accounts, subjects)
        self.principals = principals
        self.own = own
        self.issuers = issuers
        self.keys = keys
        self.clock = clock
    }

    /// - Returns: Nil when the file names nobody like it, or somebody who may not speak for this agent.
    package func admit(_ peer: Peer) -> Session? {
        guard let identity = identity(peer) else { return nil }
        if let wanted = peer.agent, wanted != identity.agent { return nil }
        return Session(
            agent: identity.agent,
            principal: identity.principal,
            run: peer.run,
            key: peer.key,
            asked: peer.asked
        )
    }

    /// The principals under which an agent signs: by all of its lines.
    package func principals(of agent: AgentID) -> Set<String> { principals[agent] ?? [] }

    /// Whose tokens prove an agent: by all of its lines.
    package func accounts(of agent: AgentID) -> Set<ApprovalRule.Account> { own[agent] ?? [] }

    private func identity(_ peer: Peer) -> Identity? {
        switch peer.proof {
        case .bearer(let token): return token.flatMap(identity(token:))
        case .account(let uid, let token):
            // A token that is no good is not forgiven for an account that is.
            if let token { return identity(token: token) }
            let mine = accounts[uid] ?? []
            if let wanted = peer.agent { return mine.first { $0.agent == wanted } }
            return mine.count == 1 ? mine[0] : nil
        case .started:
            guard let agent = peer.agent else { return nil }
            let own = principals[agent] ?? []
            return Identity(agent: agent, principal: own.count == 1 ? own.first : nil)
        }
    }

    private func identity(token: String) -> Identity? {
        guard !token.isEmpty, token.utf8.count <= JWTVerifier.maxBytes else { return nil }
        let digest = SHA256.digest(of: Array(token.utf8))
        // Whoever can time the look-up learns of digests, from which no token follows.
        if let name = Digest(hex: Hex.encode(digest)), let identity = tokens[name],
            areEqualInConstantTime(digest, Hex.decode(name.hex) ?? [])
        {
            return identity
        }
        guard !subjects.isEmpty, let claims = try? keys.verify(token, issuers, now: clock()) else { return nil }
        return subjects[Subject(issuer: claims.issuer, audience: claims.audience, subject: claims.subject)]
    }
}

/// The keys of issuers by their files, read again when a file has changed; and tokens that were verified.
package final class KeyShelf: Sendable {
    private struct Known: Sendable {
        var status: FileStatus
        var keys: TokenKeys
    }

    private struct Verified: Sendable {
        var claims: JWTVerifier.Claims
        var issuers: [TokenIssuer]
    }

    private let files = Mutex<[String: Known]>([:])
    /// Files that could not be used when they were looked at last: that is said once.
    private let troubled = Mutex<Set<String>>([])
    private let say: @Sendable (String) -> Void
    private let verified = Mutex<[[UInt8]: Verified]>([:])

    /// Tokens that are kept.
    private static let most = 4_096

    package init(say: @escaping @Sendable (String) -> Void = { _ in }) { self.say = say }

    /// An issuer with the keys that its file has now; nil when there are none that can be used.
    package func issuer(_ line: GatewayFile.IssuerLine) -> TokenIssuer? {
        let path = line.keys.value
        let keys: TokenKeys? = files.withLock { files in
            guard let status = try? Files.status(path) else { return nil }
            if let known = files[path], known.status == status { return known.keys }
            guard let bytes = try? Files.read(path, limit: TokenKeys.maxBytes), let keys = try? TokenKeys(bytes) else {
                files[path] = nil
                return nil
            }
            files[path] = Known(status: status, keys: keys)
            return keys
        }
        if keys == nil, troubled.withLock({ $0.insert(path).inserted }) {
            say("\(path) cannot be read as keys of \(line.issuer): no token of that issuer counts until it can")
        } else if keys != nil {
            troubled.withLock { _ = $0.remove(path) }
        }
        return keys.map { TokenIssuer(issuer: line.issuer, audience: line.audience, keys: $0) }
    }

    /// What a token says, if one of the issuers made it. A token that was verified before is known until it expires, as
    /// long as the keys are the same.
    package func verify(
        _ token: String,
        _ lines: [GatewayFile.IssuerLine],
        now: Timestamp
    ) throws(JWTVerifier.Refusal) -> JWTVerifier.Claims {
        let issuers = lines.compactMap { issuer($0) }
        let name = SHA256.digest(of: Array(token.utf8))
        if let known = verified.withLock({ $0[name] }), known.issuers == issuers {
            guard now.seconds < known.claims.expires.seconds.adding(saturating: JWTVerifier.leeway) else {
                throw .expired
            }
            return known.claims
        }
        let claims = try JWTVerifier.verify(token, issuers: issuers, now: now)
        verified.withLock { verified in
            if verified.count >= Self.most { verified = [:] }
            verified[name] = Verified(claims: claims, issuers: issuers)
        }
        return claims
    }
}
