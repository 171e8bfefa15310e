package import EnsignHost
import EnsignLedger
package import EnsignModel
import EnsignPlanner
import EnsignPolicy
import EnsignSystem
package import EnsignTargets

/// Stops agents of one environment at once: remembers it, then puts halted routes in place of theirs. A route is removed
/// only where there is no room for another one.
///
/// Needs neither the ledger nor its key nor the environment's lock.
package struct HaltSwitch: Sendable {
    package let environment: String
    package let file: HaltsFile
    private let target: any Target
    private let ownership: TargetOwnership

    package init(_ site: Site, _ environment: String) throws {
        self.environment = environment
        ownership = try TargetOwnership(site, environment)
        file = HaltsFile(path: site.files.halts(environment))
        target = try site.target(environment)
    }

    /// The effect of a stop.
    package struct Effect: Sendable {
        /// The affected agents that had a route; sorted.
        package var agents: [AgentID] = []
        /// Those of them whose route did not say so yet; sorted.
        package var stopped: [AgentID] = []
        /// Those whose route was removed, because there was no room for another one.
        package var removed: Set<AgentID> = []
        /// Why it could not be remembered: then the next reconcile would start them again. Nil when it was.
        package var forgotten: (any Error)?
        /// From the call to the last route being durable.
        package var duration: Duration = .zero

        package init() {}
    }

    /// Remembers stops and carries them out.
    ///
    /// - Throws: When a route could be neither replaced nor removed. A stop that could not be remembered is carried out all the same:
    ///   see ``Effect/forgotten``.
    package func pull(_ records: [HaltRecord]) throws -> Effect {
        let start = ContinuousClock.now
        var effect = Effect()
        do { try file.append(records) } catch { effect.forgotten = error }
        try carryOut(records, &effect)
        effect.duration = ContinuousClock.now - start
        return effect
    }

    /// Carries out what is remembered: whoever was to do so may have died.
    package func enforce() throws {
        let pending = try file.read().pending
        guard !pending.isEmpty else { return }
        var effect = Effect()
        try carryOut(pending, &effect)
    }

    private func carryOut(_ records: [HaltRecord], _ effect: inout Effect) throws {
        var agents: Set<AgentID> = []
        for record in records where record.kind == .halt {
            agents.formUnion(try self.agents(of: record.scope))
        }
        effect.agents = agents.sorted()
        try checkTarget(effect.agents)
        // Nobody has to prove a halt, so none waits for the key. One that is in place may have its proof already.
        let open = try effect.agents.filter { agent in
            try target.read(LivePath.route(agent)).map { !Route.isHalted($0) } ?? true
        }
        effect.stopped = open
        effect.removed = try target.halt(open.map { ($0, Route.halted($0, environment).bytes) })
    }

    /// A halt in a directory that no reconcile would write to stops nobody, or somebody else's agents. One whose `fleet.json`
    /// is gone is still the one that holds their routes.
    private func checkTarget(_ agents: [AgentID]) throws {
        switch try ownership.owner() {
        case .own: return
        case .unknown where try agents.contains(where: hasRoute), .within where try agents.contains(where: hasRoute):
            return
        case .unknown, .within, .environment: try ownership.check()
        }
    }

    /// What is left of an operator's request: it ends none of the stops that came since it was given. Those may be on record
    /// by now, and leave nothing in the ledger where their agents were halted already.
    ///
    /// - Parameter known: The records that were there when it was given.
    func meant(by request: OperatorRequest, known: Set<UInt64>?) throws -> OperatorRequest {
        guard let known, request.operation == .unhalt else { return request }
        // One that follows an agent to another name is as old as the one that was asked for.
        let newer = try file.remembered().filter { $0.kind == .halt && !known.contains($0.asked) }
        var rest = request
        rest.agents = rest.agents.filter { agent in !newer.contains { $0.scope.covers(agent) } }
        if let scope = rest.scope, newer.contains(where: { $0.scope == scope }) { rest.scope = nil }
        return rest
    }

    /// Whether an agent has a route in the target, halted or not.
    package func hasRoute(_ agent: AgentID) throws -> Bool { try target.read(LivePath.route(agent)) != nil }

    /// The agents that a stop covers: the one that is named, or those that have a route; sorted.
    package func agents(of scope: HaltScope) throws -> [AgentID] { try scope.covered(of: target.agents(of:)) }

    /// Whether a file of the target differs from what is recorded only because its agent was just halted.
    package func explains(_ file: DriftedFile, _ pending: [HaltRecord]) throws -> Bool {
        guard let agent = LivePath.agent(atRoute: file.path),
            pending.contains(where: { $0.kind == .halt && $0.scope.covers(agent) })
        else { return false }
        return try target.read(file.path).map { Route.isHalted($0) } ?? true
    }
}
