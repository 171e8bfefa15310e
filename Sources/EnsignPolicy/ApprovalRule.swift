package import EnsignModel

/// Who may agree to a call, how many people it takes, and whether what they signed is enough: the one answer for the
/// gateway, `who-can` and `check`.
///
/// Pure: the bundle says who, the environment's policy with which keys.
package struct ApprovalRule: Sendable, Hashable {
    /// Somebody who agreed, and how that is known.
    package struct Signature: Sendable, Hashable {
        package enum Proof: Sendable, Hashable {
            /// A signature by a key, `<type> <base64>`.
            case key(String)
            /// The word of an issuer whom the operator trusts, for whoever has this account there.
            case issuer(Account)
        }

        package var principal: String
        package var proof: Proof

        package init(principal: String, proof: Proof) {
            self.principal = principal
            self.proof = proof
        }

        package init(principal: String, key: String) { self.init(principal: principal, proof: .key(key)) }

        /// At an issuer; nil for whoever has signed.
        package var account: Account? { if case .issuer(let account) = proof { account } else { nil } }
    }

    /// Somebody's account at an issuer: what stays the same whatever addresses its tokens have. Compared exactly.
    package struct Account: Sendable, Hashable {
        package var issuer: String
        package var subject: String

        package init(issuer: String, subject: String) {
            self.issuer = issuer
            self.subject = subject
        }
    }

    /// Whom the grant names, else the agent's team and the tool's owner team; sorted.
    package private(set) var approvers: [Approver]
    /// How many different people must agree, each with a key of their own: 0, 1 or 2.
    package private(set) var needed: Int
    /// Those who may, with their keys: without whoever asks.
    package private(set) var people: [String: [GatewayPolicy.Key]]
    /// Those who may by the word of an issuer whom the operator trusts, with or without a key: without whoever asks.
    package private(set) var everyone: Set<String>
    /// Accounts of whoever asks, whose tokens never count.
    private var asking: Set<Account>

    /// - Parameters:
    ///   - operation: Of a tool of the bundle; one that it does not grant needs nobody, and nobody may agree to it.
    ///   - policy: The environment's; nil, which is one without any keys, lets nobody agree.
    ///   - asking: The principals of the agent itself, and of whoever it acts for: they never count, in whatever case.
    ///   - accounts: Their accounts at issuers: a token of one of them never counts, whatever address it has.
    package init(
        _ bundle: Bundle,
        tool: String,
        operation: String,
        policy: GatewayPolicy?,
        asking: Set<String> = [],
        accounts: Set<Account> = []
    ) {
        self.asking = accounts
        guard let grant = bundle.operation(tool, operation) else {
            (approvers, needed, people, everyone) = ([], 0, [:], [])
            return
        }
        needed = grant.approval.people
        approvers = grant.approvers ?? Self.standard(bundle, tool, policy)
        people = [:]
        everyone = []
        guard let policy else { return }
        let asking = Set(asking.map(Person.init))
        everyone = Set(approvers.flatMap(policy.everyone).filter { !asking.contains(Person($0)) })
        for principal in approvers.flatMap(policy.people) where !asking.contains(Person(principal)) {
            people[principal] = policy.approvers[principal]
        }
    }

    private static func standard(_ bundle: Bundle, _ tool: String, _ policy: GatewayPolicy?) -> [Approver] {
        let owner = policy?.owners[tool] ?? bundle.tools.first { $0.tool == tool }?.owner
        return Set([bundle.agent.team, owner].compactMap { $0 }).sorted().map { .team($0) }
    }

    /// The rule of a call that two bundles must allow: as many people as the stricter one asks, and of both only those who
    /// may agree to both. One that needs nobody says nothing of who.
    package func both(_ other: ApprovalRule) -> ApprovalRule {
        guard needed > 0 else { return other }
        guard other.needed > 0 else { return self }
        var both = self
        both.needed = max(needed, other.needed)
        both.people = people.filter { other.people[$0.key] != nil }
        both.everyone = everyone.intersection(other.everyone)
        both.asking = asking.union(other.asking)
        if approvers != other.approvers {
            both.approvers = approvers.filter(other.approvers.contains)
            // In words each of them is somebody, also where only people are left in common.
            if both.approvers.isEmpty { both.approvers = both.people.keys.sorted().map { .principal($0) } }
        }
        return both
    }

    /// Whether a signature counts at a time.
    package func accepts(_ signature: Signature, at time: Timestamp) -> Bool {
        switch signature.proof {
        case .key(let key): people[signature.principal]?.contains { $0.key == key && $0.isValid(at: time) } ?? false
        case .issuer(let account): everyone.contains(signature.principal) && !asking.contains(account)
        }
    }

    /// Whether these are enough: so many different people, with as many different keys.
    package func isFulfilled(by signatures: [Signature], at time: Timestamp) -> Bool {
        let valid = Set(signatures.filter { accepts($0, at: time) })
        switch needed {
        case 0: return true
        case 1: return !valid.isEmpty
        default: return Self.hasTwo(valid)
        }
    }

    /// Whether anybody could fulfil it at a time at all.
    ///
    /// - Parameter byIssuers: Whether issuers are trusted, for whoever has no key.
    package func isPossible(at time: Timestamp, byIssuers: Bool = false) -> Bool {
        if byIssuers, Set(everyone.map(Person.init)).count >= needed { return true }
        let all = people.flatMap { person, keys in keys.map { Signature(principal: person, key: $0.key) } }
        return isFulfilled(by: all, at: time)
    }

    /// Whether two different people used two different proofs. One person with two keys, and two people with one, are not; nor is
    /// one in two spellings, or one account with two addresses.
    private static func hasTwo(_ signatures: Set<Signature>) -> Bool {
        var people: [(names: Set<Person>, accounts: Set<Account>)] = []
        for signature in signatures {
            var one = (names: Set([Person(signature.principal)]), accounts: Set([signature.account].compactMap { $0 }))
            // Whatever has a name or an account in common is one person, also by way of a third one.
            people.removeAll { other in
                guard !one.names.isDisjoint(with: other.names) || !one.accounts.isDisjoint(with: other.accounts) else {
                    return false
                }
                one.names.formUnion(other.names)
                one.accounts.formUnion(other.accounts)
                return true
            }
            people.append(one)
        }
        // With two people, only where both have the same single key do they not have two.
        return people.count >= 2 && Set(signatures.map(\.proof)).count >= 2
    }
}

/// Whoever may be behind a principal. Addresses that differ only in case most often reach the same person: they are one where two
/// people are asked for, and where somebody must not agree. Who may agree is compared exactly, by ``ApprovalRule/people``.
private struct Person: Hashable {
    let name: String

    init(_ principal: String) { name = principal.lowercased() }
}

extension Approval {
    /// How many people must agree.
    fileprivate var people: Int {
        switch self {
        case .none: 0
        case .manager: 1
        case .dual: 2
        }
    }
}
