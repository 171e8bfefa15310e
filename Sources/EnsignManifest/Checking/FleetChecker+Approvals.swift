import EnsignCrypto
import EnsignModel

extension FleetChecker {
    // MARK: Nobody may agree

    /// Warns of calls that need an approval for which no key counts: where no issuer of a gateway speaks for people without
    /// one, all of them are refused.
    ///
    /// A fleet without any key has not begun with approvals by signature: there it goes without saying.
    func warnIfNobodyApproves(_ resolved: ResolvedDeployment) throws {
        guard !fleet.signers.isEmpty else { return }
        var problems: [String: [Permission]] = [:]
        for permission in resolved.permissions {
            guard let needed = permission.effectiveApproval, needed != .none,
                let problem = try lack(of: permission, needed, resolved)
            else { continue }
            problems[problem, default: []].append(permission)
        }
        for (problem, permissions) in problems.sorted(by: { $0.key < $1.key }) {
            guard let first = permissions.first else { continue }
            let isOwn = first.origin.path == resolved.deploymentPath
            let names = permissions.prefix(Self.shownOperations).map { "\($0.tool).\($0.operation)" }
            let more = permissions.count - names.count
            fleet.report(
                Finding(
                    .warning,
                    code: "nobody-approves",
                    "calls of \(names.joined(separator: ", "))\(more > 0 ? " and \(more) more" : "") need an approval, and \(problem)",
                    path: resolved.deploymentPath,
                    at: isOwn ? first.origin.position : resolved.deployment.version?.position ?? .start,
                    hint:
                        "give them a line with namespaces=\"\(GatewayPolicy.namespace)\" in \(RepositoryPath.allowedSigners); without it such calls are refused, unless an issuer of the gateway speaks for them"
                )
            )
        }
    }

    private static let shownOperations = 10

    /// Why an approval cannot be given; nil where it can.
    private func lack(of permission: Permission, _ needed: Approval, _ resolved: ResolvedDeployment) throws -> String? {
        let approvers = try permission.approvers ?? standardApprovers(permission.tool, resolved)
        var people: Set<String> = []
        for approver in approvers {
            switch approver {
            case .principal(let principal): people.insert(principal)
            case .team(let team): people.formUnion(try fleet.team(team)?.value?.members.map(\.value) ?? [])
            }
        }
        let keys = fleet.approvalKeys
        let able = people.filter { keys[$0] != nil }
        let names = approvers.map(\.description).joined(separator: ", ")
        let key = "a key in the namespace \(GatewayPolicy.namespace)"
        guard !able.isEmpty else { return "nobody of \(names) has \(key)" }
        guard needed == .dual else { return nil }
        guard Set(able.map { $0.lowercased() }).count >= 2 else {
            let only = able.sorted().joined(separator: ", ").onOneLine(utf8: 200)
            return "of \(names) only \(only) has \(key): two people must agree"
        }
        let different = Set(able.flatMap { keys[$0] ?? [] })
        return different.count >= 2 ? nil : "all of \(names) have the same key: two are needed"
    }

    /// The agent's team and the team that owns the tool's newest version.
    private func standardApprovers(_ tool: String, _ resolved: ResolvedDeployment) throws -> [Approver] {
        let newest = try fleet.toolVersions(tool).last.flatMap { try fleet.tool(tool, $0)?.value?.owner.value }
        let owner = newest ?? resolved.tools[tool]?.value.owner.value
        return Set([resolved.agent.team, owner].compactMap { $0 }).sorted().map { .team($0) }
    }

    // MARK: Case

    /// Where a principal is written.
    private struct Spelling {
        var name: String
        var path: String
        var position = Position.start
        /// Whether it is the member of a team: only the very same spelling has the keys of `allowed_signers`.
        var isMember = false
    }

    /// Warns of people who are written in two ways: a key counts for one spelling of a name, and both are one person where two
    /// must agree.
    ///
    /// - Parameter teams: Their members.
    func warnAboutCase(_ teams: [(path: String, members: [Located<String>])]) {
        var spellings: [String: [Spelling]] = [:]
        func add(_ spelling: Spelling) {
            let folded = spelling.name.lowercased()
            let isNew = spellings[folded]?.contains { $0.name == spelling.name } != true
            if isNew { spellings[folded, default: []].append(spelling) }
        }
        for entry in fleet.signers where !entry.isCertificateAuthority {
            let position = Position(line: UInt32(entry.line), column: 1)
            for name in entry.principals.patterns where Approver.isExact(name) {
                add(Spelling(name: name, path: RepositoryPath.allowedSigners, position: position))
            }
        }
        for team in teams {
            for name in team.members {
                add(Spelling(name: name.value, path: team.path, position: name.position, isMember: true))
            }
        }
        for same in spellings.values where same.count > 1 {
            for other in same.dropFirst() { report(other, besides: same[0]) }
        }
    }

    private func report(_ other: Spelling, besides first: Spelling) {
        let (name, known) = (other.name.onOneLine(utf8: 128), first.name.onOneLine(utf8: 128))
        let consequence =
            other.isMember && !first.isMember
            ? "no key there is its own, so it never agrees to a call" : "where two people must agree both are one"
        fleet.report(
            Finding(
                .warning,
                code: "principal-case",
                "'\(name)' differs only in case from '\(known)' in \(first.path): \(consequence)",
                path: other.path,
                at: other.position,
                hint: "write a person the same everywhere",
                notes: [Finding.Note(path: first.path, position: first.position, message: "the other spelling")]
            )
        )
    }
}
