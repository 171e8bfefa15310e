/// What all agents of an environment share, for whoever holds calls against their bundles: `policy.json` in the live
/// directory.
///
/// It is made from the repository alone: `fleet/trust/allowed_signers`, the teams, the tools, the prices, the environment.
/// docs/formats/live-directory.md describes the file.
package struct GatewayPolicy: Sendable, Hashable {
    /// The namespace that a line of `allowed_signers` must name for its key to count, and that approvals are signed in.
    package static let namespace = "ensign-approval"
    /// The namespace of denials: a key that may agree may also deny.
    package static let denialNamespace = "ensign-denial"
    /// The most bytes that its file may have.
    package static let maxBytes = 64 << 20

    /// A key with which somebody may agree.
    package struct Key: Sendable, Hashable, Comparable {
        /// `<type> <base64>`, as OpenSSH writes it, without a comment.
        package var key: String
        /// The first second at which it counts; nil if it always did.
        package var from: Timestamp?
        /// The last second at which it counts; nil if it always will.
        package var until: Timestamp?

        package init(key: String, from: Timestamp? = nil, until: Timestamp? = nil) {
            self.key = key
            self.from = from
            self.until = until
        }

        package func isValid(at time: Timestamp) -> Bool {
            from.map { $0 <= time } ?? true && until.map { time <= $0 } ?? true
        }

        package static func < (left: Key, right: Key) -> Bool { left.order < right.order }
        private var order: (String, Int64, Int64) { (key, from?.seconds ?? .min, until?.seconds ?? .max) }
    }

    /// What of a team matters here.
    package struct Team: Sendable, Hashable {
        /// Those of its members who have a key, sorted.
        package var members: [String]
        /// Its members without one, sorted: they agree only by the word of an issuer whom the operator of a gateway trusts.
        package var others: [String]
        /// US dollars that all its agents together may cost in the environment; nil means unlimited.
        package var costUSDPerDay: Double?

        package init(members: [String] = [], others: [String] = [], costUSDPerDay: Double? = nil) {
            self.members = members
            self.others = others
            self.costUSDPerDay = costUSDPerDay
        }
    }

    package var environment: String
    /// The keys of each person who may agree to something, sorted; nobody is here without a key.
    package var approvers: [String: [Key]]
    /// Teams with members, or with a limit.
    package var teams: [String: Team]
    /// The team that answers for each tool's newest version; only where anybody may agree.
    package var owners: [String: String]
    /// US dollars that all agents of the environment together may cost; nil means unlimited.
    package var costUSDPerDay: Double?
    /// By `<provider>/<model>`.
    package var prices: [String: Prices.Price]

    package init(
        environment: String,
        approvers: [String: [Key]] = [:],
        teams: [String: Team] = [:],
        owners: [String: String] = [:],
        costUSDPerDay: Double? = nil,
        prices: [String: Prices.Price] = [:]
    ) {
        self.environment = environment
        self.approvers = approvers
        self.teams = teams
        self.owners = owners
        self.costUSDPerDay = costUSDPerDay
        self.prices = prices
    }

    /// Whether it says nothing: then it is not published.
    ///
    /// - Parameter countingOthers: Whether members of teams who have no key are something.
    package func isEmpty(countingOthers: Bool) -> Bool {
        approvers.isEmpty && costUSDPerDay == nil && prices.isEmpty
            && teams.values.allSatisfy { team in
                team.members.isEmpty && team.costUSDPerDay == nil && (team.others.isEmpty || !countingOthers)
            }
    }

    /// The people whom an approver means, with or without a key.
    package func everyone(_ approver: Approver) -> [String] {
        switch approver {
        case .team(let name): teams[name].map { $0.members + $0.others } ?? []
        case .principal(let name): [name]
        }
    }

    /// The people with a key whom an approver means, sorted.
    package func people(_ approver: Approver) -> [String] {
        switch approver {
        case .team(let name): teams[name]?.members ?? []
        case .principal(let name): approvers[name] == nil ? [] : [name]
        }
    }
}
