import EnsignJudge
import EnsignModel

/// What an agent takes over under another name, and what it leaves behind.
extension RolloutMachine {
    /// What the agent inherits from its other name applies before anything else. Repeating it changes nothing.
    mutating func succeed(_ succession: Succession) {
        if state.stable == nil, let halt = succession.halt, state.halt == nil {
            state.halt = halt
            startsHalted = halt.reason
        }
        if state.stable == nil, let stable = succession.stable?.side {
            state.stable = stable
            let why = succession.renamedFrom.map { "it was \($0)" }
            record(.create, from: nil, to: stable, .widening, because(why))
        }
        let new = succession.quarantine.filter { quarantine in
            !state.quarantine.contains { $0.mark == quarantine.mark }
        }
        guard !new.isEmpty else { return }
        state.quarantine = Array((state.quarantine + new).suffix(Self.maxQuarantined))
        // Inherited quarantines that do not concern the wanted version are only in the state.
        let covering = new.last { succession.identity.isCovered(by: $0) }
        guard let covering else { return }
        record(.quarantine, from: succession.wanted, to: state.stable, .none, because(covering.reason))
    }

    /// Git no longer declares the agent, and a version that takes sessions still hands work to it: its own rollout ends,
    /// and its stable version stays until then.
    ///
    /// - Parameters:
    ///   - users: Who hands work to it, in words.
    ///   - successor: The name under which it goes on, if the commit that removes it says one.
    mutating func stays(for users: String, movedTo successor: AgentID?) {
        guard let stable = state.stable else { return }
        let isNew = state.leaving == nil
        state.leaving = state.leaving ?? Leaving(since: now, successor: successor)
        if state.haltedByGit {
            // There is no file any more in which git could say that the stop ends: an operator may.
            state.haltedByGit = false
            state.halt = state.halt ?? Halt(since: now, reason: "git had stopped it", by: "git")
        }
        let why = because("its removal waits: \(users)")
        let canary = state.canary
        state.rollout = nil
        if let (candidate, progress) = canary {
            record(.rollback, from: candidate.side, to: stable, .none, weight: (progress.weight, 0), why)
        } else if isNew {
            record(.weight, from: stable, to: stable, .none, weight: (0, 0), why)
        }
    }

    mutating func removed(movedTo successor: AgentID?) {
        let why = successor.map { "it goes on as \($0)" }
        switch phase {
        case .absent:
            // What waited to be created is no longer asked for. An operator's word for it stays: it may come before.
            guard state.rollout != nil else { return }
            state.rollout = nil
            return record(.weight, from: nil, to: nil, .none, weight: (0, 0), because("no longer wanted"))
        case .halted(let stable), .settled(let stable):
            record(.delete, from: stable, to: nil, .narrowing, because(why))
        case .queued(let trial): record(.delete, from: trial.stable, to: nil, .narrowing, because(why))
        case .canary(let trial, let progress):
            record(.delete, from: trial.stable, to: nil, .narrowing, weight: (progress.weight, 0), because(why))
        }
        if successor == nil {
            // Halts and quarantine outlive it: neither redeclaring the agent nor renaming it gets around them.
            if let stableArtifact { state.halt?.artifact = stableArtifact }
        } else {
            // They have moved with the agent.
            (state.halt, state.quarantine) = (nil, [])
        }
        state.stable = nil
        state.rollout = nil
        state.leaving = nil
        state.soakOverride = nil
        state.haltedByGit = false
        if !state.isHalted { state.activityAfterHalt = nil }
    }
}
