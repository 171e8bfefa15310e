import EnsignCrypto
import EnsignGit
import EnsignManifest
import EnsignModel
import EnsignPlanner
import EnsignSystem

/// Loads what guards the agents of an environment from two states of the fleet, as far as they differ, and compares.
///
/// Cost follows change: equal trees are not read, and of deployments only those that differ are, unless a rule changes that
/// holds for all of them.
struct GuardLoader {
    /// One of the two.
    struct Side {
        var environment: String
        /// Nil for a work tree.
        var tree: ObjectID?
        var snapshots: @Sendable () throws -> any Snapshot
    }

    let repository: Repository
    let today: CalendarDate

    /// What changes from one to the other, loosenings first. Nothing where one side does not have the environment: its
    /// agents come or go, and that is shown.
    ///
    /// - Parameter renamed: Agents that go on under another name: the new one by the former.
    func changes(from old: Side, to new: Side, renamed: [AgentID: AgentID] = [:]) throws -> [GuardChange] {
        let differing = try differing(old, new)
        if differing == .nothing { return [] }
        let (before, after) = (try fleet(old), try fleet(new))
        guard let was = try before.environment(old.environment)?.value,
            let now = try after.environment(new.environment)?.value
        else { return [] }
        var guards = (
            FleetGuards(environment: old.environment, settings: was),
            FleetGuards(environment: new.environment, settings: now)
        )
        if differing.contains(RepositoryPath.prices) {
            guards = (try priced(guards.0, before), try priced(guards.1, after))
        }
        if differing.contains(RepositoryPath.allowedSigners) {
            (guards.0.signers, guards.1.signers) = (signers(before), signers(after))
        }
        let shared = [RepositoryPath.allowedSigners, RepositoryPath.teams, RepositoryPath.tools]
        if shared.contains(where: differing.reaches) || renamed.contains(where: { $0.key.team != $0.value.team }) {
            guards.0.policy = try before.policy(of: old.environment)
            guards.1.policy = try after.policy(of: new.environment)
        }
        let isForAll = was.rollout != now.rollout || Set(was.killSwitch) != Set(now.killSwitch)
        let named = differing.deployments(of: new.environment)
        if named == nil || isForAll {
            let all = Set(try before.deployedAgents(in: old.environment) + after.deployedAgents(in: new.environment))
            guards.1.own = try own(all.sorted(), new)
            guards.0.own = guards.1.own
            // What is the same on both sides is read once.
            for agent in named ?? all { guards.0.own[agent] = nil }
            guards.0.own.merge(try own((named ?? all).sorted(), old)) { $1 }
        } else if let named {
            (guards.0.own, guards.1.own) = (try own(named.sorted(), old), try own(named.sorted(), new))
        }
        return try FleetGuards.changes(from: guards.0, to: guards.1, renamed: renamed) {
            try after.deployedAgents(in: new.environment)
        }
    }

    // MARK: What differs

    /// Which of the files with guards differ.
    private enum Differing: Equatable {
        case nothing
        /// It is not known which: all may.
        case anything
        case files(Set<String>)

        func contains(_ path: String) -> Bool {
            switch self {
            case .nothing: false
            case .anything: true
            case .files(let paths): paths.contains(path)
            }
        }

        /// Whether a file, or one below a folder, may differ.
        func reaches(_ path: String) -> Bool {
            switch self {
            case .nothing: false
            case .anything: true
            case .files(let paths): paths.contains { $0 == path || $0.hasPrefix("\(path)/") }
            }
        }

        /// The agents whose deployments differ; nil when that is not known.
        func deployments(of environment: String) -> Set<AgentID>? {
            guard case .files(let paths) = self else { return self == .nothing ? [] : nil }
            return Set(
                paths.compactMap { path in
                    guard case .deployment(let agent, environment: environment)? = RepositoryPath.meaning(of: path)
                    else {
                        return nil
                    }
                    return agent
                }
            )
        }
    }

    private func differing(_ old: Side, _ new: Side) throws -> Differing {
        guard let before = old.tree, let after = new.tree, old.environment == new.environment else { return .anything }
        let places = [
            RepositoryPath.prices, RepositoryPath.allowedSigners, RepositoryPath.environment(new.environment),
            RepositoryPath.deployments(in: new.environment), RepositoryPath.teams, RepositoryPath.tools,
        ]
        let changes = try repository.differences(from: before, to: after) {
            RepositoryPath.leads($0, toOrBelow: places)
        }
        return changes.isEmpty ? .nothing : .files(Set(changes.map(\.path)))
    }

    // MARK: Loading

    /// A fleet of its own: whoever plans has found what is wrong with the files.
    private func fleet(_ side: Side) throws -> Fleet { Fleet(snapshot: try side.snapshots(), today: today) }

    private func priced(_ guards: FleetGuards, _ fleet: Fleet) throws -> FleetGuards {
        var result = guards
        if let prices = try fleet.prices() { result.prices = prices.isValid ? prices.value?.models : nil }
        return result
    }

    private func signers(_ fleet: Fleet) -> [TrustedKey] {
        AllowedSigners.parse(fleet.source(RepositoryPath.allowedSigners) ?? []).0.entries.map { line in
            TrustedKey(
                fingerprint: line.key.fingerprint,
                principals: line.principals.description,
                namespaces: line.namespaces?.description,
                validAfter: line.validAfter,
                validBefore: line.validBefore,
                isAuthority: line.isCertificateAuthority
            )
        }
    }

    /// What deployments say for themselves; many are shared out among threads.
    private func own(_ agents: [AgentID], _ side: Side) throws -> [AgentID: OwnGuards] {
        let threads = agents.count >= 2_000 ? min(Parallel.cores, 8) : 1
        let share = (agents.count + threads - 1) / threads
        let today = today
        let parts = try Parallel.map(threads) { index -> [AgentID: OwnGuards] in
            var own: [AgentID: OwnGuards] = [:]
            let fleet = Fleet(snapshot: try side.snapshots(), today: today)
            for agent in agents.dropFirst(index * share).prefix(share) {
                own[agent] = try fleet.deployment(agent, in: side.environment)?.value.map { OwnGuards($0) }
            }
            return own
        }
        return parts.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
    }
}
