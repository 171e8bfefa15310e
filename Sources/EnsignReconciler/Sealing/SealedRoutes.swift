import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignPolicy

/// That all routes of a recorded state have the proof of the key that signs now. Not so before the first run of a version
/// that signs them, and after the key has changed.
struct SealedRoutes: Hashable {
    /// The folder `agents` of the recorded tree.
    var folder: ObjectID
    /// The fingerprint of the key.
    var key: String
}

extension SealedRoutes: StateValue {
    static let kind = StateKind("cache/<env>/sealed", .memo, limit: 1_024)

    init?(_ contents: StateContents) {
        guard let folder = contents["folder"]?.string.flatMap({ ObjectID($0) }), let key = contents["key"]?.string
        else {
            return nil
        }
        self.init(folder: folder, key: key)
    }

    var contents: StateContents {
        StateContents(["folder": .string(folder.description), "key": .string(key)])
    }
}

extension SealedRoutes {
    /// The agents whose recorded route has no proof of the key that signs now; sorted. What differs from a state that is
    /// known to have them all is read, nothing else.
    ///
    /// - Parameter usesMemo: Whether to believe what an earlier run found.
    static func missing(_ tip: RecordedEntry, _ ledger: Ledger, usesMemo: Bool = true) throws -> [AgentID] {
        guard let folder = tip.folder(LivePath.agents), let key = tip.successors.last else { return [] }
        let now = SealedRoutes(folder: folder, key: key.fingerprint)
        let memo = StateFile<SealedRoutes>(ledger.files, ledger.environment)
        let known = usesMemo ? memo.known() : nil
        if known == now { return [] }
        let keys = LiveKeys(environment: ledger.environment, keys: [key])
        var missing: [AgentID] = []
        for (agent, blob) in try changed(since: known?.key == now.key ? known?.folder : nil, folder, ledger.repository)
        {
            let bytes = try ledger.repository.bytes(of: blob, .blob)
            if case .failure = LiveProof.verify(bytes, as: .route(agent), of: ledger.environment, keys: keys) {
                missing.append(agent)
            }
        }
        // A question makes no folders: another account may ask it.
        if missing.isEmpty { try? memo.write(now, inNewFolder: false) }
        return missing.sorted()
    }

    private static func changed(
        since before: ObjectID?,
        _ folder: ObjectID,
        _ repository: Repository
    ) throws -> [(agent: AgentID, blob: ObjectID)] {
        // Without the earlier state, all of it.
        let differences =
            try (try? repository.differences(from: before, to: folder))
            ?? repository.differences(from: nil, to: folder)
        return differences.compactMap { difference in
            LivePath.agent(atRoute: "\(LivePath.agents)/\(difference.path)").flatMap { agent in
                difference.after.map { (agent, $0.id) }
            }
        }
    }
}
