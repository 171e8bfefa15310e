/// What a tool keeps for agents: skills, memory or knowledge.
///
/// A store is a tool like others: it is released, granted and shown like one. What it keeps says more about it.
package struct Store: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        /// What agents know how to do: instructions and scripts.
        case skills
        /// What agents wrote down in earlier sessions.
        case memory
        /// What agents look up.
        case knowledge
    }

    /// Who sees what an agent keeps there, from the fewest to the most.
    package enum Scope: String, Sendable, CaseIterable, Comparable {
        case session, agent, team, fleet

        package static func < (left: Scope, right: Scope) -> Bool { left.rank < right.rank }
        private var rank: Int {
            switch self {
            case .session: 0
            case .agent: 1
            case .team: 2
            case .fleet: 3
            }
        }
    }

    package var kind: Kind
    package var scope: Scope
    /// How long what is written stays; nil for ever.
    package var retention: TimeSpan?
    /// The content of a store that does not change, as `sha256:<64 hex>`; nil for one that does.
    package var digest: Digest?

    package init(kind: Kind, scope: Scope, retention: TimeSpan? = nil, digest: Digest? = nil) {
        self.kind = kind
        self.scope = scope
        self.retention = retention
        self.digest = digest
    }

    /// In words: `memory of the team, kept for 30d`.
    package var sentence: String {
        let of = scope == .session ? "one session" : "the \(scope.rawValue)"
        let content = digest.map { ", content \($0.description)" } ?? ""
        return "\(kind.rawValue) of \(of), \(retention.map { "kept for \($0)" } ?? "kept for ever")\(content)"
    }

    /// Whether it keeps more than another one, for more or for longer; unsure means yes.
    package func isWider(than other: Store) -> Bool {
        let isLonger =
            switch (other.retention, retention) {
            case (nil, _): false
            case (_?, nil): true
            case (let was?, let now?): now.milliseconds > was.milliseconds
            }
        return kind != other.kind || digest != other.digest || scope > other.scope || isLonger
    }

    package var json: JSONValue {
        [
            "kind": .string(kind.rawValue), "scope": .string(scope.rawValue),
            "retention": retention.map { .string($0.description) } ?? .null,
            "digest": digest.map { .string($0.description) } ?? .null,
        ]
    }

    /// Reads a store back; nil when a field is missing or has the wrong type.
    package init?(json: JSONValue) {
        guard let kind = json["kind"]?.string.flatMap({ Kind(rawValue: $0) }),
            let scope = json["scope"]?.string.flatMap({ Scope(rawValue: $0) }),
            let retentionValue = json["retention"], let digestValue = json["digest"]
        else { return nil }
        let retention = retentionValue.string.flatMap { TimeSpan($0) }
        let digest = digestValue.string.flatMap { Digest($0) }
        guard (retention == nil) == retentionValue.isNull, (digest == nil) == digestValue.isNull else { return nil }
        self.init(kind: kind, scope: scope, retention: retention, digest: digest)
    }
}
