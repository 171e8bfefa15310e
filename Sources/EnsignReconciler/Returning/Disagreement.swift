package import EnsignModel

/// An agent for which git asks for a version that is quarantined here, and what a person can do about it.
package struct Disagreement: Sendable, Hashable {
    package var environment: String
    package var agent: AgentID
    /// What git asks for.
    package var wanted: Change.Side
    /// What sessions have; nil when the agent has no version at all.
    package var stable: Change.Side?
    package var quarantine: Quarantine
    package var remedy: Remedy

    /// How git can agree again.
    package enum Remedy: Sendable, Hashable {
        /// The branch has the commit that makes it agree; merging it changes nothing live.
        case merge(commit: ObjectID)
        /// The commit could be made, and the next reconcile on the host makes it.
        case pending
        /// The branch has commits that Ensign did not make, and stays as it is.
        case foreign(commit: ObjectID)
        /// The deployment file alone does not explain the difference.
        case byHand
        /// The commit could not be written; the next reconcile tries again.
        case failed(String)
    }

    /// The name of the commit's branch.
    package static func branch(_ agent: AgentID, _ environment: String) -> String {
        "ensign/rollback/\(environment)/\(agent)"
    }

    package var branch: String { Self.branch(agent, environment) }

    package var path: String { RepositoryPath.deployment(agent, in: environment) }

    /// What is the matter and what to do, in a sentence without a full stop.
    package var sentence: String {
        let retry = "'ensign rollout retry \(agent) --env \(environment) --reason WHY'"
        let fact = "git wants \(agent) \(wanted.version), which is quarantined here"
        guard let stable else {
            return "\(fact): deploy another version, remove the deployment, or \(retry)"
        }
        switch remedy {
        case .merge: return "\(fact): merge \(branch), or \(retry)"
        case .pending: return "\(fact): the next reconcile on the host writes \(branch)"
        case .foreign:
            return
                "\(fact): \(branch) has commits that Ensign did not make and is left alone; bring \(path) back to \(stable.version), or \(retry)"
        case .byHand:
            return
                "\(fact), and \(path) alone does not bring \(stable.version) back: undo what else changed (prompt, role, tool or environment), deploy another version, or \(retry)"
        case .failed(let why): return "\(fact), and \(branch) could not be written: \(why)"
        }
    }

    package var json: JSONValue {
        var object: JSONObject = [
            "agent": .string(agent.description), "wanted": wanted.json, "stable": stable?.json ?? .null,
            "quarantine": quarantine.json, "message": .string(sentence),
        ]
        switch remedy {
        case .merge(let commit):
            object["remedy"] = "merge"
            object["branch"] = .string(branch)
            object["commit"] = .string(commit.description)
        case .foreign(let commit):
            object["remedy"] = "foreign"
            object["branch"] = .string(branch)
            object["commit"] = .string(commit.description)
        case .pending: object["remedy"] = "pending"
        case .byHand: object["remedy"] = "by-hand"
        case .failed: object["remedy"] = "failed"
        }
        return .object(object)
    }
}
