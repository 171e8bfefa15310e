/// One change of one agent, as an entry records it.
package struct Change: Sendable, Hashable {
    /// What happened.
    package enum Action: String, Sendable, CaseIterable {
        case create, update, delete, weight, promote, rollback, halt, resume, repair, quarantine
    }

    /// What kind of change it is for those who must approve it.
    package enum Class: String, Sendable, CaseIterable {
        case behaviour, widening, narrowing, none
    }

    /// A version of the agent as it was or will be live.
    package struct Side: Sendable, Hashable {
        package var version: AgentVersion
        package var digest: Digest

        package init(version: AgentVersion, digest: Digest) {
            self.version = version
            self.digest = digest
        }
    }

    /// Per cent of the sessions before and after.
    package struct Weight: Sendable, Hashable {
        package var from: Int64
        package var to: Int64

        package init(from: Int64, to: Int64) {
            self.from = from
            self.to = to
        }
    }

    /// Nil for what belongs to no agent: a file, a stop of a team or of everything, the environment's own rules.
    package var agent: AgentID?
    package var action: Action
    package var from: Side?
    package var to: Side?
    package var kind: Class
    package var weight: Weight?
    /// Why; nil when there is nothing more to say.
    @BoxedOptional package var evidence: Evidence?

    package init(
        agent: AgentID?,
        action: Action,
        from: Side?,
        to: Side?,
        kind: Class,
        weight: Weight? = nil,
        evidence: Evidence? = nil
    ) {
        self.agent = agent
        self.action = action
        self.from = from
        self.to = to
        self.kind = kind
        self.weight = weight
        self.evidence = evidence
    }
}

extension Change {
    package var json: JSONValue {
        [
            "agent": agent.map { .string($0.description) } ?? .null,
            "action": .string(action.rawValue),
            "from": from?.json ?? .null, "to": to?.json ?? .null,
            "class": .string(kind.rawValue),
            "weight": weight.map { ["from": .integer($0.from), "to": .integer($0.to)] } ?? .null,
            "evidence": evidence?.json ?? .null,
        ]
    }

    /// Reads a change back.
    ///
    /// - Parameter format: Of the entry that it is in.
    /// - Returns: nil when a field is missing or has the wrong type, or when that format has no such change.
    package init?(json: JSONValue, _ format: Entry.Format = .current) {
        guard let agentValue = json["agent"], let fromValue = json["from"], let toValue = json["to"],
            let action = json["action"]?.string.flatMap({ Action(rawValue: $0) }),
            let kind = json["class"]?.string.flatMap({ Class(rawValue: $0) })
        else { return nil }
        let agent = agentValue.string.flatMap { AgentID($0) }
        let from = Side(json: fromValue)
        let to = Side(json: toValue)
        guard (agent == nil) == agentValue.isNull, (from == nil) == fromValue.isNull, (to == nil) == toValue.isNull
        else { return nil }
        var weight: Weight?
        if let value = json["weight"], !value.isNull {
            guard let before = value["from"]?.int, let after = value["to"]?.int, (0...100).contains(before),
                (0...100).contains(after)
            else { return nil }
            weight = Weight(from: before, to: after)
        }
        let evidenceValue = json["evidence"] ?? .null
        let evidence = Evidence(json: evidenceValue)
        guard (evidence == nil) == evidenceValue.isNull else { return nil }
        self.init(
            agent: agent,
            action: action,
            from: from,
            to: to,
            kind: kind,
            weight: weight,
            evidence: evidence
        )
        guard format >= self.format else { return nil }
        if action == .update, agent == nil {
            guard from == nil, to == nil, weight == nil, evidence?.isOfNoAgent == true else { return nil }
        }
    }

    /// The oldest format of an entry that may have this change.
    package var format: Entry.Format {
        (action == .update && agent == nil) || evidence?.needsV2 == true ? .v2 : .v1
    }
}

extension Sequence<Change> {
    /// How the number of live agents changes.
    package var live: Int64 { reduce(0) { $0 + ($1.action == .create ? 1 : $1.action == .delete ? -1 : 0) } }
}

extension Change {
    /// The environment's own rules that it changes; nil for any other change.
    package var rules: Evidence.RuleChanges? { action == .update && agent == nil ? evidence?.rules : nil }

    /// The file that it changes and that belongs to no agent; nil for any other change.
    package var file: Evidence.LiveFile? { action == .update && agent == nil ? evidence?.file : nil }

    /// The metric of a stable version that drifted although nothing was deployed; nil for any other change.
    package var driftedMetric: String? {
        action == .update && kind == .behaviour && from != nil && from == to ? evidence?.behaviour?.metric : nil
    }
}

extension Change.Side {
    package var json: JSONValue {
        ["version": .string(version.description), "digest": .string(digest.description)]
    }

    package init?(json: JSONValue) {
        guard let version = json["version"]?.string.flatMap({ AgentVersion($0) }),
            let digest = json["digest"]?.string.flatMap({ Digest($0) })
        else { return nil }
        self.init(version: version, digest: digest)
    }
}
