import EnsignGit
import EnsignLedger
import EnsignModel
package import EnsignPlanner

extension PlanMaker {
    /// What a desired state changes of what guards agents, against the commit whose rules are in force; nothing where there
    /// is none yet.
    func guards(_ desired: Desired, _ tip: RecordedEntry?) throws -> [GuardChange] {
        guard let tip, let base = try inForce(tip), site.repository.contains(base) else { return [] }
        let tree = try site.repository.commit(base).tree
        let source = PlanSource(name: site.settings.branch, commit: base)
        return try guards(desired, since: Desired(source: source, tree: tree, snapshots: site.snapshots(of: tree)))
    }

    /// What a desired state changes of what guards agents, against another one.
    ///
    /// - Parameter environment: The other one's; nil for the same.
    package func guards(
        _ desired: Desired,
        since base: Desired,
        of environment: String? = nil
    ) throws -> [GuardChange] {
        try GuardLoader(repository: site.repository, today: today).changes(
            from: GuardLoader.Side(
                environment: environment ?? self.environment,
                tree: base.tree,
                snapshots: base.snapshots
            ),
            to: GuardLoader.Side(environment: self.environment, tree: desired.tree, snapshots: desired.snapshots)
        )
    }

    /// The newest commit that a reconcile has accepted, as far as this clone knows.
    ///
    /// A commit that changes nothing but rules has no entry: the host remembers that it was looked at. Entries for other
    /// reasons since, such as a halt, do not make it accepted anew.
    private func inForce(_ tip: RecordedEntry) throws -> ObjectID? {
        guard let known = try SettledFile.read(site.files.settled(environment)),
            let entry = known.entry == tip.commit ? tip : try? site.ledger(environment).read(known.entry),
            entry.acceptedSource == tip.acceptedSource, site.repository.contains(known.desired)
        else { return tip.acceptedSource }
        return known.desired
    }
}
