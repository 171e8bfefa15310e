import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
package import EnsignModel
package import EnsignPlanner

/// What is to be done in an environment.
package struct Decision {
    /// Nil when nothing can be decided.
    package var plan: Plan?
    /// The commit that the plan follows: the desired one, or the last accepted one where that cannot be applied. Nil
    /// for a work tree, and without a plan.
    package var goesBy: ObjectID?
    /// Why what is desired cannot be applied; nil when it can.
    package var obstacle: Obstacle?
    /// What was found in what is desired.
    package var findings: [Finding] = []
    /// The environment's own manifest, as the plan uses it; without a plan, the desired one.
    package var settings: Environment?
    /// What the agents of the desired commit use, where that was found out anew.
    var uses: SharedUses?
    /// The evidence about canaries, for the commit that the plan follows.
    package var evidence: CanaryEvidence?
    /// Where a commit that cannot be applied may ask for a stop that nobody can read, in sentences.
    package var unreadStops: [String] = []

    /// Why a commit cannot be applied.
    package enum Obstacle {
        /// Its findings hold an error.
        case invalid
        /// Its plan removes too much.
        case refused(Plan, PruneRefusal)
        /// There is none.
        case missing
        /// It cannot be read.
        case unreadable(any Error)
    }

    /// The plan to show for what is desired: also one that the guard refuses. Nil when it is invalid or not there.
    package var shown: Plan? {
        switch obstacle {
        case nil: plan
        case .refused(let plan, _): plan
        case .invalid, .missing, .unreadable: nil
        }
    }

    /// What happens while what is desired cannot be applied; nil when it can.
    package var meanwhile: Plan? { obstacle == nil ? nil : plan }

    package var isInvalid: Bool { if case .invalid = obstacle { true } else { false } }

    /// Throws where what is desired cannot be read: then nobody can say that it is invalid.
    package func checkReadable() throws {
        if case .unreadable(let error) = obstacle { throw error }
    }
}

extension Situation {
    /// Decides what is to be done.
    ///
    /// Time, verdicts, operators and stops do not wait for git: where the desired commit cannot be applied or does not
    /// exist, the last accepted commit and its rules decide. A commit that cannot be applied still stops agents:
    /// `halted: true` in a deployment that can be read holds, and ends with a commit that is accepted.
    ///
    /// - Parameters:
    ///   - desired: What git asks for; nil when the branch is gone.
    ///   - fallsBack: Whether to follow the last accepted commit otherwise: not for what is only proposed.
    /// - Throws: ``RolloutRefusal`` when the operator's request cannot be done; what the world reports.
    package func decide(_ desired: Desired?, fallsBack: Bool = true) throws -> Decision {
        var decision = Decision()
        let maker = PlanMaker(self)
        do {
            if try settle(desired, maker, &decision) { return decision }
        } catch let refusal as RolloutRefusal {
            throw refusal
        } catch {
            guard fallsBack else { throw error }
            decision.obstacle = .unreadable(error)
        }
        guard fallsBack, let accepted = try accepted(), accepted != desired?.source.commit else { return decision }
        let before = try Desired(site, accepted, name: site.settings.branch)
        let stopped = stops(in: desired, since: before)
        decision.unreadStops = stopped.unread
        let resolved = try maker.resolve(before, alsoHalted: stopped.agents)
        guard !resolved.isInvalid else { return decision }
        let evidence = try judge(resolved)
        decision.plan = try maker.plan(resolved, evidence)
        (decision.goesBy, decision.settings, decision.evidence) = (accepted, resolved.settings, evidence)
        return decision
    }

    /// - Returns: Whether what is desired can be applied; otherwise the decision says why not.
    private func settle(_ desired: Desired?, _ maker: PlanMaker, _ decision: inout Decision) throws -> Bool {
        guard let desired else {
            decision.obstacle = .missing
            return false
        }
        let resolved = try maker.resolve(desired)
        (decision.findings, decision.settings, decision.uses) = (resolved.findings, resolved.settings, resolved.uses)
        guard !resolved.isInvalid else {
            decision.obstacle = .invalid
            return false
        }
        if resolved.removes {
            // Asked first without the judge, which takes up evidence for the commit that is followed.
            let plan = try maker.plan(resolved, nil)
            if let refusal = plan.refusal {
                decision.obstacle = .refused(plan, refusal)
                return false
            }
        }
        let evidence = try judge(resolved)
        decision.plan = try maker.plan(resolved, evidence)
        (decision.goesBy, decision.evidence) = (desired.source.commit, evidence)
        return true
    }

    /// What is known of the canaries that are under way, judged as the fleet says.
    private func judge(_ resolved: PlanMaker.Resolved) throws -> CanaryEvidence? {
        guard case .store(let store, let answers) = evidence else { return nil }
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        let fleet = Fleet(snapshot: resolved.fleet.snapshot, today: today)
        var evidence = try CanaryEvidence(recorded, environment, fleet, site)
        if let store {
            // What was counted is used for this run; without the file it is counted again by the next.
            do { try evidence.take(from: store, answers) } catch { evidence.unkept = error }
        }
        return evidence
    }

    /// The agents that a commit which cannot be applied stops: their deployments differ from the accepted ones, can be
    /// read, and say `halted: true`.
    private func stops(in desired: Desired?, since accepted: Desired) -> (agents: Set<AgentID>, unread: [String]) {
        guard let desired, let tree = desired.tree, let old = accepted.tree else { return ([], []) }
        let folder = RepositoryPath.deployments(in: environment)
        var agents: Set<AgentID> = []
        var unread: [String] = []
        func look(at path: String, _ body: () throws -> Void) {
            do { try body() } catch {
                unread.append("\(path) may ask for a stop, and cannot be read: \(error)")
            }
        }
        look(at: folder) {
            let changes = try site.repository.differences(from: old, to: tree) {
                RepositoryPath.leads($0, toOrBelow: [folder])
            }
            let fleet = Fleet(snapshot: try desired.snapshots(), today: today)
            for change in changes where change.after != nil {
                guard case .deployment(let agent, _)? = RepositoryPath.meaning(of: change.path) else { continue }
                // One that cannot be read hides no other.
                look(at: change.path) {
                    if try fleet.deployment(agent, in: environment)?.value?.halted == true { agents.insert(agent) }
                }
            }
        }
        return (agents, unread)
    }
}
