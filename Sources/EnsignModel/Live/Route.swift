/// Which bundles an agent's sessions get: `agents/<team>/<agent>.json` in the live directory.
package struct Route: Sendable, Hashable {
    /// The phase of a rollout.
    package enum Phase: String, Sendable, CaseIterable {
        case stable, canary, halted
    }

    /// One bundle and its share of the sessions.
    package struct Target: Sendable, Hashable {
        package var version: AgentVersion
        package var digest: Digest
        /// A whole percentage.
        package var weight: Int64

        package init(version: AgentVersion, digest: Digest, weight: Int64) {
            self.version = version
            self.digest = digest
            self.weight = weight
        }
    }

    package var agent: AgentID
    package var environment: String
    package var phase: Phase
    /// The candidate first, the stable version last; weights add up to 100. Empty when halted.
    package var targets: [Target]

    package init(agent: AgentID, environment: String, phase: Phase, targets: [Target]) {
        self.agent = agent
        self.environment = environment
        self.phase = phase
        self.targets = targets
    }

    /// The stable version: the last target.
    package var stable: Target? { targets.last }

    package var json: JSONValue { .object(members) }

    package var members: JSONObject {
        [
            "agent": .string(agent.description), "environment": .string(environment),
            "phase": .string(phase.rawValue),
            "routes": .array(
                targets.map {
                    [
                        "version": .string($0.version.description), "digest": .string($0.digest.description),
                        "weight": .integer($0.weight),
                    ]
                }
            ),
        ]
    }

    /// The file's bytes without its proof: RFC 8785, plus a final newline.
    package var bytes: [UInt8] { json.canonicalBytes() + [0x0A] }

    /// Reads a route back; nil when a field is missing, has the wrong type, or the weights do not add up.
    package init?(json: JSONValue) {
        guard let agent = json["agent"]?.string.flatMap({ AgentID($0) }),
            let environment = json["environment"]?.string,
            let phase = json["phase"]?.string.flatMap({ Phase(rawValue: $0) }),
            let routes = json["routes"]?.array
        else { return nil }
        var targets: [Target] = []
        for route in routes {
            guard let version = route["version"]?.string.flatMap({ AgentVersion($0) }),
                let digest = route["digest"]?.string.flatMap({ Digest($0) }),
                let weight = route["weight"]?.int, (0...100).contains(weight)
            else { return nil }
            targets.append(Target(version: version, digest: digest, weight: weight))
        }
        let total = targets.reduce(0) { $0 + $1.weight }
        guard phase == .halted ? targets.isEmpty : total == 100 else { return nil }
        self.init(agent: agent, environment: environment, phase: phase, targets: targets)
    }

    /// The target that takes a session.
    ///
    /// - Parameter bucket: 0 to 99, from ``Route/bucketText(key:)``'s digest.
    /// - Returns: The first target whose running sum of weights exceeds the bucket; nil when halted.
    package func target(bucket: Int64) -> Target? {
        var sum: Int64 = 0
        for target in targets {
            sum += target.weight
            if sum > bucket { return target }
        }
        return nil
    }

    /// The text whose SHA-256 decides a session's bucket: its first 8 bytes, big-endian, modulo 100.
    ///
    /// Nil when halted.
    package func bucketText(key: String) -> [UInt8]? {
        guard let first = targets.first else { return nil }
        return Array("\(agent)\n\(first.digest)\n\(key)".utf8)
    }

    /// The bucket from a SHA-256 digest's bytes.
    package static func bucket(sha256: [UInt8]) -> Int64 {
        Int64(sha256.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } % 100)
    }
}
