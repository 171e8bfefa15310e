/// The paths in a live directory, and equally in a ledger entry's tree.
package enum LivePath {
    package static let header = "fleet.json"
    package static let agents = "agents"
    package static let bundles = "bundles"
    /// What all agents of the environment share, for whoever holds calls against their bundles.
    package static let policy = "policy.json"
    /// Temporary names start with this; readers and drift detection ignore them.
    package static let temporaryPrefix = ".ensign-"

    package static func route(_ agent: AgentID) -> String { "agents/\(agent.team)/\(agent.name).json" }

    package static func bundle(_ digest: Digest) -> String {
        "bundles/\(digest.hex.prefix(2))/\(digest.hex.dropFirst(2)).json"
    }

    /// Whether a file at this path belongs to no agent, is published and recorded like theirs, and changes only by a
    /// change that names it.
    package static func isShared(_ path: some StringProtocol) -> Bool { path == policy }

    /// The agent whose route is at a path; nil for any other path.
    package static func agent(atRoute path: some StringProtocol) -> AgentID? {
        guard path.hasPrefix("agents/"), path.hasSuffix(".json") else { return nil }
        return AgentID(String(path.dropFirst(7).dropLast(5)))
    }

    /// The digest of the bundle at a path; nil for any other path.
    package static func digest(atBundle path: some StringProtocol) -> Digest? {
        let path = String(path)
        let text = path.utf8
        // bundles/<2>/<62>.json
        guard text.count == 78, path.hasPrefix("bundles/"), path.hasSuffix(".json") else { return nil }
        let hex = text.dropFirst(8).dropLast(5)
        guard hex.dropFirst(2).first == 0x2F else { return nil }
        return Digest(
            hex: String(decoding: hex.prefix(2), as: UTF8.self) + String(decoding: hex.dropFirst(3), as: UTF8.self)
        )
    }
}

/// `fleet.json`: what the live directory shows, in a constant size.
package struct LiveHeader: Sendable, Hashable {
    package var environment: String
    /// The newest entry that published.
    package var entry: ObjectID
    package var sequence: Int64
    package var source: ObjectID
    package var agents: Int64
    /// When the host was last heard: it looked whether something is to be done. Nil in what versions before 0.2.0 wrote.
    package var heard: Timestamp?

    package init(
        environment: String,
        entry: ObjectID,
        sequence: Int64,
        source: ObjectID,
        agents: Int64,
        heard: Timestamp? = nil
    ) {
        self.environment = environment
        self.entry = entry
        self.sequence = sequence
        self.source = source
        self.agents = agents
        self.heard = heard
    }

    package var members: JSONObject {
        var members: JSONObject = [
            "v": 1, "environment": .string(environment),
            "entry": ["commit": .string(entry.description), "seq": .integer(sequence)],
            "source": ["commit": .string(source.description)],
            "counts": ["agents": .integer(agents)],
        ]
        if let heard { members["heard"] = .string(heard.description) }
        return members
    }

    /// The file's bytes without its proof.
    package var bytes: [UInt8] { JSONValue.object(members).canonicalBytes() + [0x0A] }

    /// When a header says that the host was last heard; nil when it does not.
    package static func heard(_ header: JSONObject) -> Timestamp? { header["heard"]?.string.flatMap { Timestamp($0) } }
}
