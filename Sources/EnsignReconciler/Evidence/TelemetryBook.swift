import EnsignGit
package import EnsignHost
import EnsignJudge
import EnsignLedger
import EnsignManifest
package import EnsignModel
import EnsignPlanner
package import EnsignPolicy
package import EnsignTelemetry

/// What telemetry is compared with: routes, states and bundles as recorded, rules and prices as declared.
///
/// Read when somebody first asks for an agent and kept until a commit or an entry changes it, so that its cost follows
/// the agents that are active. For one thread. Where something cannot be read now, what was known stays.
package final class TelemetryBook {
    private let site: Site
    private let environment: String
    private let ledger: Ledger
    private let gate: HaltGate

    private var tip: RecordedEntry?
    /// The number of the newest entry that it goes by; nil without one.
    var sequence: Int64? { tip?.entry.sequence }
    private var recorded: RecordedTree
    private var known: [AgentID: RecordedAgent] = [:]
    /// Agents that have a route, or had one and are halted.
    package private(set) var routes: [AgentID: Route] = [:]
    /// Names that telemetry made up.
    private var strangers: Set<AgentID> = []
    /// Whose the bundles are that telemetry names, by digest as text; and those that nobody knows.
    private(set) var owners: [String: AgentID] = [:]
    private var strangeBundles: Set<String> = []
    /// Agents by what telemetry calls them, and names that are nobody's.
    private(set) var aliases: [String: AgentID] = [:]
    private var strangeNames: Set<String> = []
    private var declaredNames = DeclaredNames()
    /// The models that these bundles name.
    package private(set) var models: [Digest: String] = [:]

    private var desired: (commit: ObjectID, tree: ObjectID, fleet: Fleet)?
    /// What deployments say for themselves.
    private var own: [AgentID: OwnRules] = [:]
    private var environmentRules: [KillRule] = []
    private var environmentRollout: Rollout?
    private var guards: [AgentID: GuardedVersion?] = [:]
    /// The metrics by which an agent's canary is judged; empty without one.
    private var judged: [AgentID: Set<MetricName>] = [:]
    private(set) var prices: Prices?

    private struct OwnRules {
        var kill: [KillRule] = []
        var rollout: Rollout?
    }

    /// What bundles grant, and whose they are; nil for one that is no longer known.
    private var grants: [Digest: Grants?] = [:]
    /// How many operations these are: an agent may have thousands.
    private var grantCount = 0
    /// What tools declare, in all of their versions.
    private var declared: [String: Set<String>] = [:]
    private var haltedByGitSince: [AgentID: Moment] = [:]
    private var haltedAhead: [AgentID: Moment] = [:]

    /// What one bundle grants, and what names that were asked about mean there.
    private struct Grants {
        let agent: AgentID
        let names: ToolNames
        /// As `fleet/prices.yaml` names it; nil for an agent without a model of its own.
        let model: String?
        /// Whether what the gateway would refuse is let through.
        let isObserved: Bool
        var known: [String: ToolNames.Meaning?] = [:]

        init(_ bundle: Bundle) {
            agent = bundle.agent
            names = ToolNames(bundle)
            model = bundle.model?.key
            isObserved = bundle.mode == .observe
        }
    }

    package init(site: Site, environment: String) {
        self.site = site
        self.environment = environment
        ledger = site.ledger(environment)
        gate = HaltGate(HaltsFile(path: site.files.halts(environment)))
        recorded = RecordedTree(repository: site.repository, tip: nil)
    }

    // MARK: Keeping up

    /// Looks at the refs and forgets what they have outdated.
    ///
    /// - Returns: Agents that were resumed since the last time, and until when what they did no longer counts.
    package func refresh() -> [AgentID: Moment] {
        var resumed: [AgentID: Moment] = [:]
        // What cannot be read now is looked at again the next time.
        try? followLedger(&resumed)
        try? followBranch()
        return resumed
    }

    private func followLedger(_ resumed: inout [AgentID: Moment]) throws {
        let commit = try site.repository.reference(ledger.ref)
        guard let commit, commit != tip?.commit else { return }
        let newest = try ledger.read(commit)
        let before = tip
        (tip, recorded) = (newest, RecordedTree(repository: site.repository, tip: newest))
        strangers = []
        strangeBundles = []
        (aliases, strangeNames) = ([:], [])
        haltedByGitSince = [:]
        guard let before else { return }
        let changes = try site.repository.differences(from: before.tree, to: newest.tree) {
            $0.hasPrefix(LivePath.agents) || $0.hasPrefix(AgentState.folder)
        }
        for change in changes {
            guard let agent = LivePath.agent(atRoute: change.path) ?? AgentState.agent(atPath: change.path) else {
                continue
            }
            known[agent] = nil
            routes[agent] = nil
            declaredNames.changed(agent)
            guards[agent] = nil
            judged[agent] = nil
        }
        try ledger.walk(from: newest) { entry in
            guard entry.commit != before.commit, entry.entry.sequence > before.entry.sequence else { return false }
            try Self.collect(entry, ledger, &resumed)
            return true
        }
    }

    private static func collect(_ entry: RecordedEntry, _ ledger: Ledger, _ resumed: inout [AgentID: Moment]) throws {
        guard entry.entry.kind == .outcome || entry.entry.kind == .recovery else { return }
        for change in try ledger.changes(of: entry) where change.action == .resume {
            guard let agent = change.agent, resumed[agent] == nil else { continue }
            resumed[agent] = entry.entry.time.end
        }
    }

    private func followBranch() throws {
        // The rules are those of the last accepted commit: a refused or missing commit removes none. Before anything
        // was accepted, there are only the desired rules.
        let accepted = try site.acceptedCommit(environment, tip: tip)
        guard let commit = try accepted ?? (tip == nil ? site.desiredCommit() : nil), commit != desired?.commit else {
            return
        }
        let tree = try site.repository.commit(commit).tree
        let before = desired
        let fleet = Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: Timestamp(seconds: 0).date)
        desired = (commit, tree, fleet)
        (guards, judged) = ([:], [:])
        (declared, grants, grantCount) = ([:], [:], 0)
        if let before {
            let folder = RepositoryPath.deployments(in: environment)
            let changes = try site.repository.differences(from: before.tree, to: tree) {
                RepositoryPath.leads($0, toOrBelow: [folder])
            }
            for change in changes {
                if case .deployment(let agent, _)? = RepositoryPath.meaning(of: change.path) { own[agent] = nil }
            }
        }
        // An invalid manifest leaves in force what the one before it said.
        if let settings = try fleet.environment(environment)?.value {
            (environmentRules, environmentRollout) = (settings.killSwitch, settings.rollout)
        }
        if let value = try fleet.prices()?.value { prices = value }
    }

    // MARK: Answers

    /// Stops that the ledger does not have yet; none when they cannot be read.
    func pendingHalts() -> [HaltRecord] { (try? gate.pendingHalts()) ?? [] }

    /// Loads the route of an agent by a name of it; a name that is not an agent's costs little.
    func load(_ name: String) {
        if let agent = AgentID(name) { load(agent) }
    }

    private func load(_ agent: AgentID) {
        guard routes[agent] == nil, !strangers.contains(agent) else { return }
        if let recorded = self.recorded(agent),
            let route = recorded.route ?? (recorded.isHalted ? Route.halted(agent, environment) : nil)
        {
            routes[agent] = route
        } else {
            if strangers.count > 10_000 { strangers = [] }
            strangers.insert(agent)
        }
    }

    /// Loads a bundle that telemetry names, and its agent's route: one of this environment, now or at an earlier time.
    ///
    /// - Parameter bundle: `sha256:<64 hex>`; anything else is nobody's.
    func load(bundle: String) {
        if let owner = owners[bundle] { return load(owner) }
        guard !strangeBundles.contains(bundle) else { return }
        guard let digest = Digest(bundle), let known = grants(of: digest) else {
            if strangeBundles.count > 10_000 { strangeBundles = [] }
            strangeBundles.insert(bundle)
            return
        }
        if owners.count > 100_000 { (owners, models) = ([:], [:]) }
        (owners[bundle], models[digest]) = (known.agent, known.model)
        load(known.agent)
    }

    /// Loads the agent that declares a name for telemetry.
    private func load(alias name: String) {
        guard aliases[name] == nil, !strangeNames.contains(name) else { return }
        guard let agent = declaredNames.agent(name, in: recorded) else {
            if strangeNames.count > 10_000 { strangeNames = [] }
            strangeNames.insert(name)
            return
        }
        aliases[name] = agent
        load(agent)
    }

    /// Loads whatever an event names.
    package func load(_ claim: Claim, in folder: AgentID?) {
        if let bundle = claim.bundle { load(bundle: bundle) }
        if let name = claim.name { load(name) }
        if claim.bundle == nil, claim.named == nil, let name = claim.agent, AgentID(name) == nil { load(alias: name) }
        if let host = claim.host { AgentID(host) == nil ? load(bundle: host) : load(host) }
        if let folder { load(folder) }
        // Without a bundle the version decides, and whose model costs what is asked of the bundle that has it.
        guard claim.bundle == nil, claim.version != nil,
            let agent = claim.name.flatMap({ AgentID($0) ?? aliases[$0] })
        else { return }
        for target in routes[agent]?.targets ?? [] where target.version.description == claim.version {
            load(bundle: target.digest.description)
        }
    }

    /// What telemetry is compared with now.
    ///
    /// - Parameter bound: Agents with a folder of their own.
    package func context(bound: Set<AgentID>) -> Attribution.Context {
        Attribution.Context(
            routes: routes,
            prices: prices,
            bound: bound,
            owners: owners,
            models: models,
            aliases: aliases
        )
    }

    /// How many operations a bundle grants; nil when it is not known.
    package func grantedOperations(_ digest: Digest) -> Int? { grants(of: digest)?.names.count }

    /// Whether calls of a bundle are only observed; false where it is not known.
    func isObserved(_ digest: Digest) -> Bool { grants(of: digest)?.isObserved ?? false }

    func recorded(_ agent: AgentID) -> RecordedAgent? {
        if let known = known[agent] { return known }
        guard let found = try? recorded.agent(agent) else { return nil }
        known[agent] = found
        return found
    }

    /// Whether a canary of the agent is judged by this metric. What no analysis asks for takes no room.
    func isJudged(_ metric: MetricName, of agent: AgentID) -> Bool {
        if let known = judged[agent] { return known.contains(metric) }
        guard let recorded = recorded(agent) else { return false }
        var metrics: Set<MetricName> = []
        if recorded.state.canary != nil, let analysis = analysis(of: agent) {
            metrics = Set(analysis.metrics.compactMap { MetricName($0.name) })
            // They say whether a version shows calls at all.
            if metrics.contains(where: \.isOfCalls) { metrics.insert(.steps) }
        }
        judged[agent] = metrics
        return metrics.contains(metric)
    }

    /// How an agent's canaries are judged; nil where nothing judges them.
    private func analysis(of agent: AgentID) -> Analysis? {
        guard case .canary(let canary)? = ownRules(agent).rollout ?? environmentRollout else { return nil }
        return canary.analysis
    }

    /// The rules of the environment, then those of the agent's deployment.
    func killRules(_ agent: AgentID) -> [KillRule] { environmentRules + ownRules(agent).kill }

    private func ownRules(_ agent: AgentID) -> OwnRules {
        if let known = own[agent] { return known }
        let declared = (try? desired?.fleet.deployment(agent, in: environment))?.value
        let deployment = declared ?? (try? lastDeployment(agent))
        let rules = OwnRules(kill: deployment?.killSwitch ?? [], rollout: deployment?.rollout)
        own[agent] = rules
        return rules
    }

    /// Of an agent that git no longer declares and that stays for others: what git said of it last. Its rules hold as long as
    /// it takes work. Nil for any other, and where the history ends before that.
    private func lastDeployment(_ agent: AgentID) throws -> Deployment? {
        guard recorded(agent)?.state.leaving != nil, let commit = desired?.commit else { return nil }
        let path = RepositoryPath.deployment(agent, in: environment)
        guard let change = try DeploymentHistory(path, in: site.repository).lastChange(from: commit) else { return nil }
        let tree = try site.repository.commit(change.parent).tree
        return try Fleet(snapshot: GitSnapshot(site.repository, tree: tree), today: Timestamp(seconds: 0).date)
            .deployment(agent, in: environment)?.value
    }

    /// The stable version of an agent and what of it is guarded; nil when nothing is, and while anything but its guard
    /// halts the agent: what is read again after a crash must still find the drift behind that halt.
    func guarded(_ agent: AgentID) -> GuardedVersion? {
        if let known = guards[agent] { return known }
        let version = guardedVersion(agent)
        // What cannot be read now is looked at again.
        if recorded(agent) != nil { guards[agent] = .some(version) }
        return version
    }

    private func guardedVersion(_ agent: AgentID) -> GuardedVersion? {
        guard let analysis = analysis(of: agent), let state = recorded(agent)?.state, !state.haltedByGit,
            state.halt?.isGuards ?? true, let stable = state.stable
        else { return nil }
        return GuardedVersion(agent, stable, analysis)
    }

    /// What a call's name means among the grants of the bundle that made it, else of the agent's stable one.
    ///
    /// - Returns: Nil when the grants are not known; nil inside when the name means none of them.
    package func meaning(of tool: String, _ agent: AgentID, _ bundle: Digest?) -> ToolNames.Meaning?? {
        guard let digest = bundle ?? recorded(agent)?.stable?.digest else { return nil }
        // Another agent's bundle says nothing about this one.
        guard let found = grants(of: digest), found.agent == agent else { return nil }
        if let known = found.known[tool] { return .some(known) }
        let meaning = found.names.reading(of: tool, declared: operations)
        // Names that telemetry makes up must not take room forever.
        if found.known.count >= 64 { grants[digest]??.known = [:] }
        grants[digest]??.known[tool] = .some(meaning)
        return .some(meaning)
    }

    private func grants(of digest: Digest) -> Grants? {
        if let known = grants[digest] { return known }
        let bundle = (try? recorded.bundle(digest)) ?? nil
        let found = bundle.map { Grants($0) }
        grantCount += 1 + (found?.names.count ?? 0)
        if grantCount > 400_000 { (grants, grantCount) = ([:], 1 + (found?.names.count ?? 0)) }
        grants[digest] = .some(found)
        return found
    }

    /// The operations that a tool declares, by their own names and their servers'; empty when there is no such tool.
    private func operations(of tool: String) -> Set<String> {
        if let known = declared[tool] { return known }
        guard Name.isValid(tool), let fleet = desired?.fleet else { return [] }
        var found: Set<String> = []
        for version in (try? fleet.toolVersions(tool)) ?? [] {
            for (name, operation) in (try? fleet.tool(tool, version))??.value?.operations ?? [:] {
                found.formUnion([name, operation.serverTool ?? name])
            }
        }
        if declared.count > 10_000 { declared = [:] }
        declared[tool] = found
        return found
    }

    /// Since when an agent is halted, as the ledger has it; nil when it is not. A halt that a clock which was ahead has
    /// written counts from when it was first asked for.
    func haltedSince(_ agent: AgentID, _ now: Moment) -> Moment? {
        guard let since = recordedHalt(agent) else {
            haltedAhead[agent] = nil
            return nil
        }
        if since.passed(by: now) == since { return since }
        let found = haltedAhead[agent] ?? now
        haltedAhead[agent] = found
        return found
    }

    private func recordedHalt(_ agent: AgentID) -> Moment? {
        guard let state = recorded(agent)?.state, state.isHalted else { return nil }
        if let halt = state.halt { return halt.since.end }
        if let since = haltedByGitSince[agent] { return since }
        var since: Moment?
        if let tip {
            try? ledger.walk(from: tip) { entry in
                switch entry.entry.kind {
                case .outcome, .recovery, .halt:
                    let isHere = try ledger.changes(of: entry).contains { $0.agent == agent && $0.action == .halt }
                    if isHere { since = entry.entry.time.end }
                case .genesis, .intent, .resume, .refused, .drift, .key: break
                }
                return since == nil
            }
        }
        haltedByGitSince[agent] = since
        return since
    }

    /// Whether it is on record that the agent acted although it was halted.
    func isAlarmRecorded(_ agent: AgentID) -> Bool { recorded(agent)?.state.activityAfterHalt != nil }

    /// When an agent was last resumed, if that was after a moment; telemetry from before it was judged then. What a clock that
    /// was ahead has written excuses nothing.
    func lastResume(_ agent: AgentID, after moment: Moment, _ now: Moment) -> Moment? {
        guard let tip else { return nil }
        var found: [AgentID: Moment] = [:]
        try? ledger.walk(from: tip) { entry in
            let time = entry.entry.time.end
            guard time > moment else { return false }
            if time.passed(by: now) == time { try Self.collect(entry, ledger, &found) }
            return found[agent] == nil
        }
        return found[agent]
    }
}

extension Timestamp {
    /// The end of this second: a clock with more digits would not have shown a later time.
    var end: Moment { Moment(self).advanced(milliseconds: 999) }
}
