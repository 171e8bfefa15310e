import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignLedger
import EnsignManifest
import EnsignModel
import EnsignQueries

/// What a question about permissions is answered from: what is live, or what a commit declares.
enum PermissionSource {
    /// With the fleet of the accepted commit, nil where that commit is not here.
    case live(LiveFleet, Fleet?)
    case manifests(Fleet)
}

extension Invocation {
    /// What is live, where the ledger is here and no revision is named; else what the revision or the branch declares.
    /// Which of the two it is, is said.
    func permissionSource(_ site: Site, _ environment: String) throws -> PermissionSource {
        if self["rev"] == nil {
            try site.require(environment, among: site.knownEnvironments())
            if let tip = try site.ledger(environment).checkedTip() {
                say(
                    "from what is live, entry \(tip.entry.sequence)"
                        + (site.reconciles ? "" : " (the newest that was fetched)"),
                    environment
                )
                return .live(LiveFleet(site, environment, at: tip), try accepted(site, tip))
            }
        }
        let (fleet, commit) = try site.fleet(at: self["rev"], today: today)
        let names = try fleet.environmentNames()
        guard names.contains(environment) else { throw ReconcileError.unknownEnvironment(environment, known: names) }
        if self["rev"] == nil {
            let why = site.reconciles ? "nothing is live yet" : "there is no ledger here to say what is live"
            say("from the manifests of \(commit.short): \(why)", environment)
        }
        return .manifests(fleet)
    }

    /// Where tools are declared: the fleet of what is asked, else the branch's; nil without either.
    func declaring(_ source: PermissionSource, _ site: Site) -> Fleet? {
        switch source {
        case .manifests(let fleet), .live(_, .some(let fleet)): fleet
        case .live(_, nil): (try? site.fleet(at: nil, today: today))?.fleet
        }
    }

    private func accepted(_ site: Site, _ tip: RecordedEntry) throws -> Fleet? {
        guard let commit = tip.acceptedSource, site.repository.contains(commit) else { return nil }
        return Fleet(
            snapshot: GitSnapshot(site.repository, tree: try site.repository.commit(commit).tree),
            today: today
        )
    }

    private func say(_ text: String, _ environment: String) {
        if !isQuiet, format == .text { console.note("\(environment): \(text)") }
    }
}
