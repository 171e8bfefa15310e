import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel

/// Looks for the deployment file that makes a commit ask for the stable digest again, everything else as it is.
struct AgreeingFile {
    let site: Site
    let environment: String
    let today: CalendarDate
    let agent: AgentID

    private var path: String { RepositoryPath.deployment(agent, in: environment) }

    /// The file's bytes, and the commit that they revert when they are exactly what it changed.
    struct Found: Hashable {
        var bytes: [UInt8]
        var reverts: DeploymentHistory.FileChange?
    }

    /// How far back to search.
    private static let maxChanges = 20
    private static let maxCommits = 1_000
    private static let maxEntries = 1_000

    /// The file that makes `desired` compile to the stable digest.
    ///
    /// In this order, the first that does: the file as it was before its newest change, which is a plain revert; the
    /// present file with the version set back, which keeps what was edited since; the file as it was earlier on the
    /// branch; the file of the commit by which the version became the stable one, wherever that commit is now.
    ///
    /// - Returns: nil when no such file is known: something else than the deployment has changed.
    func find(in desired: ObjectID, stable: Change.Side, isHalted: Bool, tip: RecordedEntry) throws -> Found? {
        let repository = site.repository
        let tree = try repository.commit(desired).tree
        guard let present = try repository.entry(at: path, in: tree), present.mode == .file else { return nil }
        let bytes = try repository.bytes(of: present.id, .blob)
        var tried: Set<[UInt8]> = [bytes]
        func agrees(_ other: [UInt8]) throws -> Bool {
            guard tried.insert(other).inserted else { return false }
            let snapshot = OverlaySnapshot(GitSnapshot(repository, tree: tree), path: path, bytes: other)
            let fleet = Fleet(snapshot: snapshot, today: today)
            let compiled = try EnvironmentCompiler(fleet: fleet, environment: environment).compile(agent)?.bundle
            return compiled?.digest == stable.digest && compiled?.halted == isHalted && !fleet.hasErrors
        }
        let changes = try DeploymentHistory(path, in: repository).changes(
            from: desired,
            limit: Self.maxChanges,
            depth: Self.maxCommits
        )
        if let newest = changes.first, let before = try blob(newest.before), try agrees(before) {
            return Found(bytes: before, reverts: newest)
        }
        if let edited = VersionEdit.replacing(bytes, with: stable.version), try agrees(edited) {
            return Found(bytes: edited)
        }
        for change in changes.dropFirst() {
            if let before = try blob(change.before), try agrees(before) { return Found(bytes: before) }
        }
        for source in try sources(of: stable, tip) {
            guard repository.contains(source) else { continue }
            let entry = try repository.entry(at: path, in: try repository.commit(source).tree)
            if let entry, entry.mode == .file, let before = try blob(entry.id), try agrees(before) {
                return Found(bytes: before)
            }
        }
        return nil
    }

    private func blob(_ id: ObjectID?) throws -> [UInt8]? {
        guard let id else { return nil }
        // Larger files are not manifests.
        let header = try site.repository.header(of: id)
        return header.kind == .blob && header.size <= 1 << 20 ? try site.repository.bytes(of: id, .blob) : nil
    }

    /// The source commits of the entries by which the version became the stable one, newest first.
    private func sources(of stable: Change.Side, _ tip: RecordedEntry) throws -> [ObjectID] {
        let ledger = site.ledger(environment)
        var found: [ObjectID] = []
        var seen = 0
        try ledger.walk(from: tip) { entry in
            seen += 1
            if entry.entry.kind == .outcome || entry.entry.kind == .recovery,
                try ledger.changes(of: entry).contains(where: { $0.agent == agent && $0.to == stable }),
                let source = entry.acceptedSource, !found.contains(source)
            {
                found.append(source)
            }
            return seen < Self.maxEntries && found.count < Self.maxChanges
        }
        return found
    }
}
