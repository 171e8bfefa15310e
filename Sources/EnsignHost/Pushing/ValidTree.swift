import EnsignGit
package import EnsignLedger
package import EnsignModel

/// The newest tree that was found to have no errors, so that the next push pays for what it changes.
///
/// A memo (``KnownValidTree``). What it says is about content alone: it stays true whatever becomes of the push that
/// led to it. Another version of Ensign may check more, and starts anew.
package struct ValidTree {
    private let site: Site
    private let version: String

    package init(site: Site, version: String) {
        self.site = site
        self.version = version
    }

    /// Checks a tree: what changed since the newest valid one, or all of it.
    ///
    /// Errors are complete. Warnings are those about the agents that changed.
    ///
    /// - Parameter branch: The tree of the branch; nil without one.
    package func validate(_ tree: ObjectID, since branch: ObjectID?, today: CalendarDate) throws -> FleetValidation {
        let result = try check(tree, today: today)
            .refusingSecrets(newSince: branch.map { GitSnapshot(site.repository, tree: $0) }, today: today)
        if result.errors == 0 { remember(tree) }
        return result
    }

    private func check(_ tree: ObjectID, today: CalendarDate) throws -> FleetValidation {
        if let known = known(), site.repository.contains(known),
            case .some(let agents, let shared) = try AffectedAgents.between(known, tree, repository: site.repository)
        {
            return try FleetValidation.run(
                try site.snapshots(of: tree)(),
                agents: agents,
                shared: !shared.isEmpty,
                today: today
            )
        }
        return try FleetValidation.run(site.snapshots(of: tree), today: today)
    }

    private var file: StateFile<KnownValidTree> { StateFile(site.files) }

    private func known() -> ObjectID? {
        guard let known = file.known(), known.version == version else { return nil }
        return known.tree
    }

    private func remember(_ tree: ObjectID) {
        // Whoever pushes may not be allowed to write here; then the next push checks the whole fleet again.
        try? file.write(KnownValidTree(tree: tree, version: version))
    }
}

/// A tree that a version of Ensign found to have no errors.
package struct KnownValidTree: Hashable, Sendable {
    package var tree: ObjectID
    package var version: String

    package init(tree: ObjectID, version: String) {
        self.tree = tree
        self.version = version
    }
}

extension KnownValidTree: StateValue {
    package static let kind = StateKind("cache/valid", .memo, limit: 1_024)

    package init?(_ contents: StateContents) {
        guard let tree = contents["tree"]?.string.flatMap({ ObjectID($0) }), let version = contents["version"]?.string
        else { return nil }
        self.init(tree: tree, version: version)
    }

    package var contents: StateContents {
        StateContents(["tree": .string(tree.description), "version": .string(version)])
    }
}
