import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignTargets

/// What one run does, from its announcement to its outcome: derived once, for the record and for publishing.
struct Batch {
    /// Nil where only files are repaired.
    let plan: Plan?
    let drift: [DriftedFile]
    /// The commit that causes it.
    let commit: ObjectID
    /// The environment's own; nil where nothing expires.
    let keepFor: TimeSpan?
    /// What is in the intent; nil when there is nothing to announce.
    var announced: Announced?

    init(plan: Plan?, drift: [DriftedFile], commit: ObjectID, keepFor: TimeSpan? = nil) {
        self.plan = plan
        self.drift = drift
        self.commit = commit
        self.keepFor = keepFor
    }

    /// The part that the ledger says of it before anything happens.
    struct Announced {
        /// The entry before all of it, and its state.
        var before: RecordedEntry
        var recorded: RecordedTree
        var cause: ReconcileSession.Cause
        var reason: Entry.Reason
        /// The plan's, then the routes that are only signed, then the repairs.
        var changes: [Change]
        /// The files of each agent that changes.
        var files: [AgentFiles] = []
        /// The bytes of what all agents share from then on; nil where it stays as it is.
        var policy: PolicyFile?
        /// Bundles whose time has passed.
        var expired: [Digest]
        var retired: RetiredBundles?
        /// Agents that were halted while it was published: what was planned for them has not happened.
        var held: Set<AgentID> = []

        var counts: [String: Int64] { expired.isEmpty ? [:] : ["expired": Int64(expired.count)] }
    }

    /// What becomes of the recorded tree.
    func edits(_ announced: Announced) -> [(key: String, value: FileContent?)] {
        var edits: [(key: String, value: FileContent?)] = []
        // Of a hundred thousand agents that begin, none has a state to remove.
        let hasStates = announced.before.folder(AgentState.folder) != nil
        edits.reserveCapacity(
            announced.files.reduce(announced.expired.count + 2) { $0 + $1.bundles.count + (hasStates ? 2 : 1) }
        )
        for files in announced.files where !announced.held.contains(files.agent) {
            edits += hasStates || files.state != nil ? files.edits : files.liveEdits
        }
        for digest in announced.expired { edits.append((LivePath.bundle(digest), nil)) }
        if let policy = announced.policy { edits.append((LivePath.policy, policy.bytes.map { .bytes($0) })) }
        if let halts = plan?.halts { edits.append((FleetHalts.path, halts.bytes.map { .bytes($0) })) }
        return edits
    }

    /// What becomes of the target. A planned change of a file wins over its repair.
    func publication(_ announced: Announced) throws -> Publication {
        let recorded = announced.recorded
        var publication = Publication()
        // What is repaired and not planned.
        var repairs: [String: FileContent] = [:]
        for file in drift where file.path != LivePath.header {
            // Where a folder belongs, something else is in its place; its files are listed as missing themselves.
            guard let node = try recorded.node(file.path), node.mode != .directory else {
                publication.clearings.append(file.path)
                continue
            }
            repairs[file.path] = .bytes(try recorded.bytes(node))
        }
        publication.routes.reserveCapacity(announced.files.count)
        publication.bundles.reserveCapacity(announced.files.count)
        for files in announced.files {
            let path = LivePath.route(files.agent)
            for (digest, content) in files.bundles {
                let path = LivePath.bundle(digest)
                repairs[path] = nil
                publication.bundles.append((path, content))
            }
            repairs[path] = nil
            if let route = files.route {
                publication.routes.append((path, route))
            } else if try recorded.node(path) != nil {
                publication.removals.append(path)
            }
        }
        if let policy = announced.policy {
            repairs[LivePath.policy] = nil
            // Before the routes: what they lead to may need it.
            if let bytes = policy.bytes { publication.bundles.append((LivePath.policy, .bytes(bytes))) }
            if policy.bytes == nil { publication.removals.append(LivePath.policy) }
        }
        for (path, content) in repairs {
            if path.hasPrefix(LivePath.bundles) {
                publication.bundles.append((path, content))
            } else {
                publication.routes.append((path, content))
            }
        }
        for digest in announced.expired { publication.removals.append(LivePath.bundle(digest)) }
        publication.bundles.sort { $0.path < $1.path }
        publication.routes.sort { $0.path < $1.path }
        return publication
    }
}

extension PlannedChange {
    /// The files that follow from it.
    ///
    /// - Parameter shelf: Where the route is kept meanwhile.
    func files(_ seal: LiveSeal, _ shelf: DiskShelf) -> AgentFiles {
        let second = recompiled.flatMap { $0.digest == bundle?.digest ? nil : $0 }
        return AgentFiles(
            agent: agent,
            route: route.map { shelf.keep(seal.route($0)) },
            state: state?.bytes,
            bundles: [bundle, second].compactMap { bundle in bundle.map { ($0.digest, $0.file) } }
        )
    }
}
