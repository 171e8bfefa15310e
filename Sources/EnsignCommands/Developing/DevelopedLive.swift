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
    /// What is live, or was to be.
    private(set) var state = DevelopedState()
    /// Whether ``state`` is in place.
    private(set) var isPlaced = false
    /// All that were ever to be live.
    private var known: Set<AgentID> = []
    /// Whether there was ever to be a policy: from then on there is one, and be it empty. Where one is gone, a gateway makes no call
    /// that needs it.
    private var hasPolicy = false

    init(environment: String, key: SSHPrivateKey = .generate()) {
        self.environment = environment
        self.key = key
    }

    /// The file of keys for the gateway, as `ensign keys` prints it.
    var keys: [UInt8] {
        let line = SigningKey(environment: environment, line: key.publicKey.line, from: nil, to: nil)
        return Array("\(line.allowedSigner)\n".utf8)
    }

    /// Makes a state the live one, as soon as what is returned is in place: then ``placed()``.
    ///
    /// - Returns: What differs, to be put in place; nil where nothing does. All of it, where the publication before was not
    ///   placed whole: nobody knows which part of it was.
    mutating func publish(_ next: DevelopedState, heard: Timestamp) -> Publication? {
        guard !isPlaced || next != state else { return nil }
        let all = !isPlaced
        isPlaced = false
        entry += 1
        known.formUnion(next.agents.keys)
        var publication = Publication()
        for (agent, compiled) in next.agents.sorted(by: { $0.key < $1.key })
        where all || state.agents[agent] != compiled {
            // Earlier ones stay: open runs go by them.
            if !compiled.halted {
                publication.bundles.append((LivePath.bundle(compiled.digest), compiled.file))
            }
            let route = signed(route(agent, compiled).members)
            publication.routes.append((LivePath.route(agent), .bytes(route)))
        }
        for agent in (all ? known : Set(state.agents.keys)).sorted() where next.agents[agent] == nil {
            publication.removals.append(LivePath.route(agent))
        }
        hasPolicy = hasPolicy || next.policy != nil
        if hasPolicy, all || next.policy != state.policy {
            let policy = next.policy ?? GatewayPolicy(environment: environment)
            // Before any route: who may agree is known when the first call comes.
            publication.bundles.append((LivePath.policy, .bytes(signed(policy.json.object ?? [:]))))
        }
        state = next
        publication.header = header(heard: heard)
        return publication
    }

    /// Says that the newest publication is in place.
    mutating func placed() { isPlaced = true }

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
        let target = Route.Target(version: compiled.version, digest: compiled.digest, weight: 100)
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
