import EnsignGit
package import EnsignHost
package import EnsignManifest
package import EnsignModel
package import EnsignPlanner

/// What is desired, or proposed: a commit or a work tree.
package struct Desired {
    package var source: PlanSource
    package var snapshots: @Sendable () throws -> any Snapshot
    /// Nil for a work tree.
    package var tree: ObjectID?

    /// A commit.
    package init(_ site: Site, _ commit: ObjectID, name: String) throws {
        let tree = try site.repository.commit(commit).tree
        self.init(source: PlanSource(name: name, commit: commit), tree: tree, snapshots: site.snapshots(of: tree))
    }

    package init(source: PlanSource, tree: ObjectID?, snapshots: @escaping @Sendable () throws -> any Snapshot) {
        self.source = source
        self.tree = tree
        self.snapshots = snapshots
    }
}
