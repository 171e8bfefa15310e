import EnsignCrypto
package import EnsignModel

extension Fleet {
    /// What all agents of an environment share: who may agree with which keys, limits, prices.
    ///
    /// Reads the environment, the trusted keys, the teams and the prices, and the newest version of each tool where
    /// anybody may agree. Nobody agrees by a line or for a team that cannot be read; limits and prices that cannot be read
    /// stay what they were.
    ///
    /// - Parameter before: What was said until now.
    /// - Returns: nil where there is nothing to say, and so nothing to publish.
    package func policy(of environment: String, besides before: GatewayPolicy? = nil) throws -> GatewayPolicy? {
        var policy = GatewayPolicy(environment: environment)
        policy.costUSDPerDay = try self.environment(environment)?.value?.costUSDPerDay
        if let prices = try prices() {
            policy.prices = (prices.isValid ? prices.value?.models : nil) ?? before?.prices ?? [:]
        }
        for entry in signers {
            for principal in entry.approvers { policy.approvers[principal, default: []].append(entry.approvalKey) }
        }
        policy.approvers = policy.approvers.mapValues { Set($0).sorted() }
        for name in try names(in: "teams", files: true) {
            guard let loaded = try team(name) else { continue }
            guard loaded.isValid, let team = loaded.value else {
                let limit = before?.teams[name]?.costUSDPerDay
                if limit != nil { policy.teams[name] = GatewayPolicy.Team(costUSDPerDay: limit) }
                continue
            }
            let all = Set(team.members.map(\.value)).sorted()
            guard !all.isEmpty || team.costUSDPerDay != nil else { continue }
            policy.teams[name] = GatewayPolicy.Team(
                members: all.filter { policy.approvers[$0] != nil },
                others: all.filter { policy.approvers[$0] == nil },
                costUSDPerDay: team.costUSDPerDay
            )
        }
        if !policy.approvers.isEmpty || policy.teams.values.contains(where: { !$0.others.isEmpty }) {
            for tool in try names(in: "tools", files: false) {
                guard let newest = try toolVersions(tool).last else { continue }
                policy.owners[tool] = try self.tool(tool, newest)?.value?.owner.value
            }
        }
        // With the file, somebody has thought of approvals; people without a key agree by an issuer's word.
        let isAsked = source(RepositoryPath.allowedSigners) != nil
        return policy.isEmpty(countingOthers: isAsked) ? nil : policy
    }
}

extension AllowedSigners.Entry {
    /// Whether the line names the namespace of approvals itself: a pattern that matches it, or a line for everything,
    /// was not written with approvals in mind.
    var namesApprovals: Bool {
        namespaces.map { $0.patterns.contains(GatewayPolicy.namespace) && $0.matches(GatewayPolicy.namespace) } ?? false
    }

    /// The people who agree with this key: those that the line names exactly. None where it is not a line for that, or
    /// where signatures by its key cannot be checked.
    var approvers: [String] {
        guard namesApprovals, !isCertificateAuthority, key.kind != .other else { return [] }
        return principals.patterns.filter { Approver.isExact($0) && principals.matches($0) }
    }

    fileprivate var approvalKey: GatewayPolicy.Key {
        GatewayPolicy.Key(
            key: key.line,
            from: validAfter.map { Timestamp(seconds: $0) },
            until: validBefore.map { Timestamp(seconds: $0) }
        )
    }
}
