import EnsignModel
import EnsignPlanner
import EnsignTargets

extension DriftedFile.Found {
    /// What was found, and where that is not plain what was done about it.
    var words: String { self == .added ? "added, now removed" : rawValue }
}

extension GuardChange {
    /// What holds from now on, for people.
    var line: String { "\(direction.rawValue): \(sentence.escapedControls)" }
}

extension Change {
    /// What has happened to an agent, for people.
    var sentence: String {
        let why = evidence["reason"]?.string.map { " (\($0.escapedControls))" } ?? ""
        if let scope { return "\(scope) \(action.past)\(why)" }
        let name = agent?.description ?? ""
        if action == .quarantine {
            // A quarantine that ends starts from what is stable; the reason says which version it was.
            guard from != to else { return "\(name) out of quarantine\(why)" }
            return "\(name) \(from?.version.description ?? "") quarantined\(why)"
        }
        if let activity = evidence["activityAfterHalt"] {
            return "\(name) acts although it is halted: \(activity["what"]?.string ?? "")".escapedControls
        }
        if driftedMetric != nil {
            return "\(name) \(to?.version.description ?? "") drifted: \(evidence["reason"]?.string ?? "")"
                .escapedControls
        }
        let versions = Self.versions(from, to)
        let weight = action == .weight ? ", canary \(self.weight?.to ?? 0) %" : ""
        return "\(name) \(action.past) \(versions)\(weight)\(why)"
    }
}

extension Change.Action {
    /// What has happened, for people.
    var past: String {
        switch self {
        case .create: "created"
        case .update: "updated"
        case .delete: "deleted"
        case .weight: "goes"
        case .promote: "promoted"
        case .rollback: "rolled back"
        case .halt: "halted"
        case .resume: "resumed"
        case .repair: "repaired"
        case .quarantine: "quarantined"
        }
    }
}
