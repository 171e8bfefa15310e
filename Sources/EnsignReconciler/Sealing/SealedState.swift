import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignPolicy

/// That all that a recorded state publishes has the proof of the key that signs now. Not so before the first run of a
/// version that signs it, and after the key has changed.
struct SealedState: Hashable {
    /// The folder `agents` of the recorded tree; nil where there is none.
    var routes: ObjectID?
    /// `policy.json`; nil where there is none.
    var policy: ObjectID?
    /// The fingerprint of the key.
    var key: String
}

extension SealedState: StateValue {
    static let kind = StateKind("cache/<env>/sealed", .memo, limit: 1_024)

    init?(_ contents: StateContents) {
        guard let key = contents["key"]?.string, let routes = contents["routes"], let policy = contents["policy"] else {
            return nil
        }
        self.init(
            routes: routes.string.flatMap { ObjectID($0) },
            policy: policy.string.flatMap { ObjectID($0) },
            key: key
        )
        guard (self.routes == nil) == routes.isNull, (self.policy == nil) == policy.isNull else { return nil }
    }

    var contents: StateContents {
        StateContents([
            "key": .string(key), "routes": routes.map { .string($0.description) } ?? .null,
            "policy": policy.map { .string($0.description) } ?? .null,
        ])
    }
}

/// What of a recorded state has no proof of the key that signs now.
struct Unsealed: Hashable {
    /// Sorted.
    var agents: [AgentID] = []
    var policy = false

    var isEmpty: Bool { agents.isEmpty && !policy }

    init() {}

    /// Looks at what differs from a state that is known to have all proofs, and reads nothing else.
    ///
    /// - Parameter usesMemo: Whether to believe what an earlier run found.
    init(_ tip: RecordedEntry, _ ledger: Ledger, usesMemo: Bool = true) throws {
        guard let key = tip.successors.last else { return }
        let now = SealedState(
            routes: tip.folder(LivePath.agents),
            policy: tip.file(LivePath.policy)?.id,
            key: key.fingerprint
        )
        let memo = StateFile<SealedState>(ledger.files, ledger.environment)
        let known = usesMemo ? memo.known() : nil
        if known == now { return }
        let keys = LiveKeys(environment: ledger.environment, keys: [key])
        func isBare(_ blob: ObjectID, _ file: LiveProof.File) throws -> Bool {
            let bytes = try ledger.repository.bytes(of: blob, .blob)
            if case .failure = LiveProof.verify(bytes, as: file, of: ledger.environment, keys: keys) { return true }
            return false
        }
        let before = known?.key == now.key ? known?.routes : nil
        // Without the earlier state, all of it.
        let differences =
            try (try? ledger.repository.differences(from: before, to: now.routes))
            ?? ledger.repository.differences(from: nil, to: now.routes)
        for difference in differences {
            guard let agent = LivePath.agent(atRoute: "\(LivePath.agents)/\(difference.path)"),
                let after = difference.after, try isBare(after.id, .route(agent))
            else { continue }
            agents.append(agent)
        }
        agents.sort()
        policy = try now.policy.map { try isBare($0, .policy) } ?? false
        // A question makes no folders: another account may ask it.
        if isEmpty { try? memo.write(now, inNewFolder: false) }
    }
}
