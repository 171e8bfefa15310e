/// A change in words, for people. Every place that reports what happens to an agent uses one of these forms.
///
/// Text from others (reasons, paths) is on one line and safe to print; see ``DisplayText``.
package struct ChangeSentence: Sendable {
    private let change: Change

    package init(_ change: Change) {
        self.change = change
    }

    // MARK: Forms

    /// What has happened, and why: `support/desk promoted 1.4.0 -> 1.5.0 (the hold of the last step is over)`.
    package var past: String {
        if change.scope != nil { return "\(who) \(change.action.past)\(why)" }
        if change.action == .quarantine {
            // The end of a quarantine starts from the stable version; the reason says which version it was.
            guard !isLifted else { return "\(who) out of quarantine\(why)" }
            return "\(who) \(left) quarantined\(why)"
        }
        if let alarm { return alarm }
        if let drifted { return drifted }
        if stays { return "\(who) stays \(versions)\(why)" }
        if let ofNoAgent { return "\(ofNoAgent) changed\(why)" }
        let weight = change.action == .weight ? ", canary \(change.weight?.to ?? 0) %" : ""
        return "\(who) \(change.action.past) \(versions)\(weight)\(why)"
    }

    /// Of a stop, or of an alarm about one, that a run has recorded: `support/desk halted, recorded: it leaks`.
    package var recordedStop: String {
        alarm ?? "\(who) halted, recorded: \(reason.onOneLine)"
    }

    /// What an entry did, short enough for a table's cell: `support/desk canary 5 % 1.4.0 -> 1.5.0 (a push)`.
    package var cell: String {
        if change.action == .repair {
            let file = change.evidence?.repair
            return "repair \(file?.path.onOneLine ?? "") (\(Evidence.RepairedFile.words(file?.found ?? "").onOneLine))"
        }
        if let drifted { return drifted }
        if let ofNoAgent { return "\(ofNoAgent) changed" }
        if change.action == .quarantine {
            return isLifted ? "\(who) quarantine ended" : "\(who) quarantine \(left)"
        }
        if let activity = change.evidence?.activityAfterHalt {
            return "\(who) acts although halted: \(activity.what.onOneLine)"
        }
        let text = "\(who) \(word) \(versions)"
        if let first = change.evidence?.reverts.first { return "\(text) (reverts \(first.short))" }
        guard let reason = change.evidence?.reason else { return text }
        return "\(text) (\(reason.onOneLine.shortened(to: 60)))"
    }

    /// What will happen: `canary 5 %  1.4.0 -> 1.5.0  [widening]`.
    package var planned: String {
        let because = stays ? why.dropFirst() : ""
        return "\(word)  \(versions)  [\(change.kind.rawValue)]" + (because.isEmpty ? "" : "  \(because)")
    }

    /// What was decided about a candidate: `promote 1.4.0 -> 1.5.0`, `quarantine 1.5.0`.
    ///
    /// - Parameter quarantines: Whether the version that is left is quarantined in the same entry.
    package func decision(quarantines: Bool) -> String {
        let versions = [change.from, change.to].compactMap { $0?.version.description }
        if change.action == .quarantine {
            return quarantines ? "quarantine \(versions.first ?? "")" : "quarantine lifted"
        }
        return "\(change.action.rawValue) \(versions.joined(separator: " -> "))\(quarantines ? ", quarantined" : "")"
    }

    /// As the subject of an entry's commit has it: `support/desk 1.4.0 -> 1.5.0, canary 5 %`.
    ///
    /// It is signed, so its form is part of the ledger's format. A scope appears as in the entry: whoever prints a
    /// subject must escape it.
    package var subject: String {
        if let file = change.file { return "\(file.path) changed" }
        if change.rules != nil { return "rules of the environment changed" }
        let who = change.agent?.description ?? change.scope ?? "live directory"
        let removed = change.from != nil && change.to == nil ? " removed" : ""
        let suffix =
            switch change.action {
            case .create, .delete: ""
            case .update: change.from?.version == change.to?.version ? ", changed" : ""
            case .weight: ", \(action)"
            case .promote, .rollback, .halt, .resume, .repair, .quarantine: ", \(action)"
            }
        let reverts = change.evidence?.reverts.first.map { " (reverts \($0.short))" } ?? ""
        return "\(who) \(versions)\(removed)\(suffix)\(reverts)"
    }

    /// The subject of an entry that records a drift of behaviour: `behaviour of support/desk 1.4.0`.
    package var driftSubject: String {
        "behaviour of \(change.agent?.description ?? "")\(change.from.map { " \($0.version)" } ?? "")"
    }

    /// `1.4.0 -> 1.5.0`; one version where the other side is missing or has the same; empty without any.
    package static func versions(_ from: Change.Side?, _ to: Change.Side?) -> String {
        switch (from, to) {
        case (nil, let to?): "\(to.version)"
        case (let from?, nil): "\(from.version)"
        case (let from?, let to?):
            from.version == to.version ? "\(to.version)" : "\(from.version) -> \(to.version)"
        case (nil, nil): ""
        }
    }

    // MARK: Parts

    private var who: String { change.agent?.description ?? change.scope?.onOneLine ?? "" }
    private var versions: String { Self.versions(change.from, change.to) }
    /// The version that the change starts from.
    private var left: String { change.from?.version.description ?? "" }
    private var reason: String { change.evidence?.reason ?? "" }
    private var why: String { change.evidence?.reason.map { " (\($0.onOneLine))" } ?? "" }
    private var isLifted: Bool { change.from == change.to }
    /// Whether nothing moves: the wait itself is what is recorded.
    private var stays: Bool { change.action == .weight && change.from == change.to && change.weight?.to == 0 }
    private var word: String { stays ? "stays" : action }
    private var action: String {
        change.action == .weight ? "canary \(change.weight?.to ?? 0) %" : change.action.rawValue
    }

    /// `rules of the environment (killSwitch, soak)`, or a file that belongs to no agent; nil for any other change.
    private var ofNoAgent: String? {
        if let file = change.file { return file.path.onOneLine }
        return change.rules.map { "rules of the environment (\($0.names.joined(separator: ", ").onOneLine))" }
    }

    /// An agent that acts although it is halted; nil for any other change.
    private var alarm: String? {
        change.evidence?.activityAfterHalt.map { "\(who) acts although it is halted: \($0.what.onOneLine)" }
    }

    /// A stable version whose behaviour has drifted; nil for any other change.
    private var drifted: String? {
        guard change.driftedMetric != nil else { return nil }
        return "\(who) \(change.to?.version.description ?? "") drifted: \(reason.onOneLine)"
    }
}

extension Change.Action {
    /// What has happened.
    fileprivate var past: String {
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

extension Evidence.RepairedFile {
    /// What was found and, where it is not obvious, what was done about it.
    package static func words(_ found: String) -> String { found == "added" ? "added, now removed" : found }
}
