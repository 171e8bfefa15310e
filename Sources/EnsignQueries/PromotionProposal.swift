import EnsignGit
package import EnsignHost
package import EnsignManifest
package import EnsignModel

/// The versions that `promote` takes to an environment, and the agents that it leaves out.
package struct PromotionProposal: Sendable {
    /// What is asked for.
    package struct Request: Sendable {
        package var environment: String
        /// Nil for all agents whose version differs.
        package var agent: AgentID?
        /// Nil for the one that the environment's source names.
        package var version: AgentVersion?
        /// Also what its source has not proven, and what goes back.
        package var isForced: Bool

        package init(environment: String, agent: AgentID?, version: AgentVersion?, isForced: Bool) {
            self.environment = environment
            self.agent = agent
            self.version = version
            self.isForced = isForced
        }
    }

    package struct Move: Sendable, Hashable {
        package var agent: AgentID
        package var from: AgentVersion
        package var to: AgentVersion
    }

    /// An agent that is not promoted although others are, and why.
    package struct LeftOut: Error, Sendable, Hashable {
        package var agent: AgentID
        package var reason: String
        var hint: String
    }

    /// Why nothing can be proposed.
    package struct Obstacle: Error, Sendable, Hashable {
        package var message: String
        package var hints: [String] = []
        /// Whether a rule says no, a name is none, or something cannot be done.
        package var kind: Kind

        package enum Kind: Sendable, Hashable {
            case refusal, unknownName, failure
        }
    }

    package let environment: String
    package private(set) var moves: [Move] = []
    package private(set) var leftOut: [LeftOut] = []

    /// Decides what may be promoted by what the commit says and the source's ledger knows.
    ///
    /// - Throws: ``Obstacle`` when nothing can be, because of the one agent that is asked for or of the environment.
    package static func find(
        _ site: Site,
        _ fleet: Fleet,
        _ environment: Environment,
        _ request: Request
    ) throws -> PromotionProposal {
        let finder = Finder(site: site, fleet: fleet, environment: environment, request: request)
        var found = PromotionProposal(environment: request.environment)
        for agent in try finder.asked() {
            do {
                if let move = try finder.move(agent) { found.moves.append(move) }
            } catch let agent as LeftOut {
                guard request.agent == nil else {
                    throw Obstacle(message: agent.reason, hints: [agent.hint], kind: .refusal)
                }
                found.leftOut.append(agent)
            }
        }
        return found
    }

    /// The deployment files with the new versions, by path.
    package func edits(_ fleet: Fleet) throws -> [String: [UInt8]?] {
        var files: [String: [UInt8]?] = [:]
        for move in moves {
            let path = RepositoryPath.deployment(move.agent, in: environment)
            guard let bytes = fleet.source(path), let edited = VersionEdit.replacing(bytes, with: move.to) else {
                throw Obstacle(
                    message: "\(path): the version is not written as one word",
                    hints: ["edit it by hand"],
                    kind: .failure
                )
            }
            files[path] = edited
        }
        return files
    }

    package var title: String {
        moves.count == 1
            ? "Promote \(moves[0].agent) \(moves[0].from) -> \(moves[0].to) to \(environment)"
            : "Promote \(moves.count) agents to \(environment)"
    }

    /// Every move on a line of its own.
    package var body: String { moves.map { "\($0.agent) \($0.from) -> \($0.to)" }.joined(separator: "\n") }

    /// What every answer has beside the proposal's own members.
    package var json: JSONObject {
        [
            "leftOut": .array(
                leftOut.map { ["agent": .string($0.agent.description), "reason": .string($0.reason)] }
            )
        ]
    }

    /// The name of the branch for a commit.
    package func branch(_ commit: ObjectID) -> String {
        moves.count == 1
            ? "ensign/promote/\(environment)/\(moves[0].agent)-\(moves[0].to)"
            : "ensign/promote/\(environment)/all-\(commit.short)"
    }
}

/// Decides about one agent after the other.
private struct Finder {
    let site: Site
    let fleet: Fleet
    let environment: Environment
    let request: PromotionProposal.Request

    private var name: String { request.environment }

    func asked() throws -> [AgentID] {
        if let agent = request.agent { return [agent] }
        let source = try environment.promotesFrom.map { try fleet.deployedAgents(in: $0.value) } ?? []
        return Set(try fleet.deployedAgents(in: name) + source).sorted()
    }

    /// - Returns: nil when the file names the version already.
    /// - Throws: ``PromotionProposal/LeftOut`` when the agent cannot be promoted and others still can.
    func move(_ agent: AgentID) throws -> PromotionProposal.Move? {
        guard let present = try fleet.deployment(agent, in: name)?.value?.version?.value else {
            let hint =
                "ensign new deployment \(agent) --env \(name) starts the file: what it may do there is yours to say"
            guard request.agent == nil else {
                throw PromotionProposal.Obstacle(
                    message: "'\(name)' does not deploy '\(agent)'",
                    hints: [hint],
                    kind: .unknownName
                )
            }
            throw PromotionProposal.LeftOut(agent: agent, reason: "'\(name)' does not deploy it", hint: hint)
        }
        let wanted = try wanted(agent)
        guard wanted != present else { return nil }
        if let objection = try objection(to: wanted, of: agent, present) { throw objection }
        return PromotionProposal.Move(agent: agent, from: present, to: wanted)
    }

    /// Why a version should not be promoted; nil when nothing speaks against it, or when it is forced.
    private func objection(
        to wanted: AgentVersion,
        of agent: AgentID,
        _ present: AgentVersion
    ) throws -> PromotionProposal.LeftOut? {
        guard !request.isForced else { return nil }
        if case .release(let old) = present, case .release(let new) = wanted, new < old {
            return PromotionProposal.LeftOut(
                agent: agent,
                reason: "\(wanted) goes back from \(present)",
                hint: "to go back: 'ensign rollback'; if it is meant: --force"
            )
        }
        guard let source = environment.promotesFrom?.value,
            let objection = try PromotionSource(site, source).objection(to: wanted, identity(agent, wanted), of: agent)
        else { return nil }
        // A release may go out before anybody has run it: whoever names it says so.
        if request.version != nil, objection.isOnlyNew { return nil }
        return PromotionProposal.LeftOut(
            agent: agent,
            reason: objection.reason,
            hint: "to promote it all the same: --force"
                + (objection.stable.map { "; what runs there: --version \($0)" } ?? "")
        )
    }

    /// What a version is recognised by, in any environment; nil when it cannot be compiled.
    private func identity(_ agent: AgentID, _ version: AgentVersion) throws -> VersionIdentity? {
        try fleet.agent(agent, version).flatMap { try Compiler.compileAlone($0, fleet: fleet) }?.identity
    }

    /// The version to promote: one that the fleet has and the environment may deploy.
    private func wanted(_ agent: AgentID) throws -> AgentVersion {
        let version = try request.version ?? sourceVersion(agent)
        if version == .next, !environment.mutableVersions {
            let newest = try fleet.agentVersions(agent).compactMap { if case .release = $0 { $0 } else { nil } }.last
            throw PromotionProposal.LeftOut(
                agent: agent,
                reason: "'\(agent)' runs 'next' there, and '\(name)' deploys released versions only",
                hint: "release it: ensign release \(agent) X.Y.Z"
                    + (newest.map { "; or promote the newest release: --version \($0)" } ?? "")
            )
        }
        guard try fleet.agentVersions(agent).contains(version) else {
            let reason = "'\(agent)' has no version \(version)"
            guard request.agent == nil else { throw PromotionProposal.Obstacle(message: reason, kind: .unknownName) }
            throw PromotionProposal.LeftOut(agent: agent, reason: reason, hint: "")
        }
        return version
    }

    /// The version that the files of the environment before name.
    private func sourceVersion(_ agent: AgentID) throws -> AgentVersion {
        guard let source = environment.promotesFrom?.value else {
            throw PromotionProposal.Obstacle(
                message: "'\(name)' promotes from no environment",
                hints: ["set promotesFrom in environments/\(name)/environment.yaml, or name it: --version X.Y.Z"],
                kind: .refusal
            )
        }
        guard let found = try fleet.deployment(agent, in: source)?.value?.version?.value else {
            throw PromotionProposal.LeftOut(
                agent: agent,
                reason: "'\(source)' does not deploy '\(agent)'",
                hint: "name a version: --version X.Y.Z"
            )
        }
        return found
    }
}
