import EnsignCrypto
import EnsignModel
import EnsignPolicy
import EnsignQueries
import EnsignTargets

/// A live directory that no ledger stands behind: states published one after the other, signed by a key that nobody keeps.
///
/// Pure: it says what to write. Each publication has a number of its own, higher than all before, so that a gateway never
/// goes back to an earlier file.
struct DevelopedLive {
    let environment: String
    private let key: SSHPrivateKey
    /// The number of the newest publication; 0 before the first.
    private(set) var entry: Int64 = 0
    /// What is live.
    private(set) var state = DevelopedState()

    init(environment: String, key: SSHPrivateKey = .generate()) {
        self.environment = environment
        self.key = key
    }

    /// The file of keys for the gateway, as `ensign keys` prints it.
    var keys: [UInt8] {
        let line = SigningKey(environment: environment, line: key.publicKey.line, from: nil, to: nil)
        return Array("\(line.allowedSigner)\n".utf8)
    }

    /// Makes a state the live one.
    ///
    /// - Returns: What differs, to be put in place; nil where nothing does. The first publication has at least the header.
    mutating func publish(_ next: DevelopedState, heard: Timestamp) -> Publication? {
        guard entry == 0 || next != state else { return nil }
        entry += 1
        var publication = Publication()
        for (agent, compiled) in next.agents.sorted(by: { $0.key < $1.key }) where state.agents[agent] != compiled {
            // Earlier ones stay: open runs go by them.
            if !compiled.halted { publication.bundles.append((LivePath.bundle(compiled.digest), compiled.bytes)) }
            publication.routes.append((LivePath.route(agent), signed(route(agent, compiled).members)))
        }
        for agent in state.agents.keys.sorted() where next.agents[agent] == nil {
            publication.removals.append(LivePath.route(agent))
        }
        if next.policy != state.policy {
            if let members = next.policy?.json.object {
                // Before any route: who may agree is known when the first call comes.
                publication.bundles.append((LivePath.policy, signed(members)))
            } else {
                publication.removals.append(LivePath.policy)
            }
        }
        state = next
        publication.header = header(heard: heard)
        return publication
    }

    /// `fleet.json` of the newest publication. There is no commit to name: neither an entry's nor a source's.
    func header(heard: Timestamp) -> [UInt8] {
        let header = LiveHeader(
            environment: environment,
            entry: .zero,
            sequence: entry,
            source: .zero,
            agents: Int64(state.agents.values.count(where: { !$0.halted })),
            heard: heard
        )
        return signed(header.members)
    }

    private func route(_ agent: AgentID, _ compiled: CompiledBundle) -> Route {
        let target = Route.Target(version: compiled.bundle.version, digest: compiled.digest, weight: 100)
        return Route(
            agent: agent,
            environment: environment,
            phase: compiled.halted ? .halted : .stable,
            targets: compiled.halted ? [] : [target]
        )
    }

    private func signed(_ value: JSONObject) -> [UInt8] {
        LiveProof.sign(value, entry: entry) { SSHSignature.sign($0, key: key, namespace: LiveProof.namespace) }
    }
}
