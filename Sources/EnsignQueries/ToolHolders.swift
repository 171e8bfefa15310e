import EnsignLedger
package import EnsignManifest
package import EnsignModel
import EnsignPlanner
import EnsignPolicy

/// The agents of an environment that may call a tool: what `who-can` answers.
package struct ToolHolders: Sendable {
    package var environment: String
    /// The entry of the ledger that was asked; nil where the manifests were.
    package var entry: Int64?
    /// Sorted by agent; during a canary the candidate first.
    package var holders: [Holder]
    /// Agents that may not, because they are halted, and that could as soon as they are resumed.
    package var halted: [Holder] = []
    /// Versions of which the gateway only observes, sorted by agent: it lets them call the tool whatever they are granted.
    package var observed: [Observed] = []

    /// A version of an agent that is only observed.
    package struct Observed: Sendable, Hashable {
        package var agent: AgentID
        package var version: AgentVersion
        /// Its share of the sessions in per cent; nil where the manifests were asked.
        package var weight: Int64?
    }

    /// One version of an agent that may call an operation, or have it called.
    package struct Holder: Sendable, Hashable {
        package var agent: AgentID
        package var version: AgentVersion
        /// Its share of the sessions in per cent; nil where the manifests were asked.
        package var weight: Int64?
        package var tool: String
        package var operation: String
        package var approval: Approval
        /// Who may agree; nil where nobody has to.
        package var agreement: WhoAgrees?
        /// `role support-agent`, or `grant`; `through support/desk` for one that hands work to an agent that may.
        package var origin: String
        /// The agent that makes the call for it; nil when it calls by itself.
        package var via: AgentID?
        /// Where it is granted; nil where the manifests no longer say the same as what is live.
        package var path: String?
        package var position: Position?
        /// What the grant adds to the tool's own schema.
        package var arguments: JSONValue?
        /// What arguments are allowed, in words.
        package var limits: [String]
        package var expires: CalendarDate?
        package var isExpired: Bool
        /// Whether the gateway only observes whoever calls: then neither limits nor approvals nor the end keep anything out.
        package var isObserved: Bool
    }

    /// Finds those that the manifests declare.
    ///
    /// - Parameter operation: Nil for all operations of the tool.
    package static func find(
        _ fleet: Fleet,
        _ environment: String,
        tool: String,
        operation: String?,
        today: CalendarDate
    ) throws -> ToolHolders {
        var (holders, halted): ([Holder], [Holder]) = ([], [])
        var bundles: [AgentID: [Bundle]] = [:]
        // Reports no findings: what is wrong elsewhere is not asked about.
        let policy = try Fleet(snapshot: fleet.snapshot, today: today).policy(of: environment)
        let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
        for agent in try fleet.deployedAgents(in: environment) {
            guard let resolved = try compiler.resolve(agent), let texts = resolved.loaded.texts else { continue }
            let bundle = Compiler.bundle(resolved, texts)
            let asked = Question(tool: tool, operation: operation, today: today, policy: policy)
            let own = try asked.holders(bundle, weight: nil) { operation in
                resolved.permissions.first { $0.tool == tool && $0.operation == operation }
            }
            if resolved.deployment.halted {
                halted += own
            } else {
                bundles[agent] = [bundle]
                holders += own
            }
        }
        let direct = Dictionary(grouping: holders, by: \.agent)
        for (agent, own) in bundles {
            for bundle in own {
                holders += Question.through(agent, bundle, weight: nil, direct) { bundles[$0] ?? [] }
            }
        }
        var found = ToolHolders(environment: environment, holders: holders.sorted(), halted: halted)
        found.observed = bundles.values.joined().compactMap { Observed($0, weight: nil) }.sorted { $0.agent < $1.agent }
        return found
    }

    /// Finds those whose sessions have it now: every version that takes sessions, and whoever hands work to one.
    ///
    /// - Parameter fleet: The accepted commit's, which says where a grant is written; nil where that is not known.
    package static func find(
        live: LiveFleet,
        _ fleet: Fleet?,
        tool: String,
        operation: String?,
        today: CalendarDate
    ) throws -> ToolHolders {
        var found = ToolHolders(environment: live.environment, entry: live.entry.entry.sequence, holders: [])
        var places = fleet.map { GrantPlaces($0, live.environment) }
        let asked = Question(tool: tool, operation: operation, today: today, policy: try live.policy())
        let agents = try live.agents()
        for agent in agents {
            for version in try live.versions(of: agent) {
                let holders = try asked.holders(version.bundle, weight: version.weight) { name in
                    guard let operation = version.bundle.operation(tool, name) else { return nil }
                    return try places?.permission(agent, (tool, name), operation)
                }
                if version.isHalted { found.halted += holders } else { found.holders += holders }
                if !version.isHalted, let observed = Observed(version.bundle, weight: version.weight) {
                    found.observed.append(observed)
                }
            }
        }
        let direct = Dictionary(grouping: found.holders, by: \.agent)
        for agent in agents {
            for version in try live.versions(of: agent) where !version.isHalted {
                found.holders += try Question.through(
                    agent,
                    version.bundle,
                    weight: version.weight,
                    direct,
                    live.running
                )
            }
        }
        found.holders.sort()
        return found
    }

    package var json: JSONValue {
        [
            "v": 1, "environment": .string(environment), "entry": entry.map { .integer($0) } ?? .null,
            "holders": .array(holders.map(\.json)), "halted": .array(halted.map(\.json)),
            "observed": .array(
                observed.map {
                    [
                        "agent": .string($0.agent.description), "version": .string($0.version.description),
                        "weight": $0.weight.map { .integer($0) } ?? .null,
                    ]
                }
            ),
        ]
    }
}

extension ToolHolders.Observed {
    /// Nil for a bundle whose refusals hold.
    fileprivate init?(_ bundle: Bundle, weight: Int64?) {
        guard bundle.mode == .observe else { return nil }
        self.init(agent: bundle.agent, version: bundle.version, weight: weight)
    }

    /// `support/triage 1.4.0`, with its share during a canary.
    package var text: String {
        "\(agent) \(version)" + (weight.map { $0 == 100 ? "" : " (\($0) %)" } ?? "")
    }
}

/// What is asked of each bundle.
private struct Question {
    let tool: String
    /// Nil for all operations.
    let operation: String?
    let today: CalendarDate
    let policy: GatewayPolicy?

    /// What a bundle may call by itself.
    func holders(_ bundle: Bundle, weight: Int64?, _ permission: (String) throws -> Permission?) throws
        -> [ToolHolders.Holder]
    {
        var holders: [ToolHolders.Holder] = []
        let operations = bundle.tools.first { $0.tool == tool }?.operations ?? [:]
        for (name, granted) in operations.sorted(by: { $0.key < $1.key }) where operation == nil || operation == name {
            let call = CallPolicy.Call(tool: tool, operation: name, arguments: nil)
            let isExpired: Bool
            switch try CallPolicy.decide(call, by: .live(bundle), today: today) {
            case .allowed, .needsApproval: isExpired = false
            case .refused(.expired): isExpired = true
            case .refused: continue
            }
            let written = try permission(name)
            holders.append(
                ToolHolders.Holder(
                    agent: bundle.agent,
                    version: bundle.version,
                    weight: weight,
                    tool: tool,
                    operation: name,
                    approval: granted.approval,
                    agreement: WhoAgrees(ApprovalRule(bundle, tool: tool, operation: name, policy: policy)),
                    origin: written?.origin.role.map { "role \($0)" } ?? "grant",
                    path: written?.origin.path,
                    position: written?.origin.position,
                    arguments: written?.arguments?.value,
                    limits: SchemaLimits.phrases(written?.arguments?.value ?? granted.input),
                    expires: granted.expires,
                    isExpired: isExpired,
                    isObserved: bundle.mode == .observe
                )
            )
        }
        return holders
    }

    /// What a bundle may have called by those that it hands work to.
    static func through(
        _ agent: AgentID,
        _ bundle: Bundle,
        weight: Int64?,
        _ direct: [AgentID: [ToolHolders.Holder]],
        _ running: (AgentID) throws -> [Bundle]
    ) rethrows -> [ToolHolders.Holder] {
        var holders: [ToolHolders.Holder] = []
        for delegate in try Delegates.reached(from: agent, bundle.delegates, running).keys.sorted() {
            for var holder in direct[delegate] ?? [] {
                (holder.agent, holder.version, holder.weight) = (agent, bundle.version, weight)
                (holder.via, holder.origin) = (delegate, "through \(delegate)")
                // Two versions of the delegate may grant the same.
                if !holders.contains(holder) { holders.append(holder) }
            }
        }
        return holders
    }
}

extension ToolHolders.Holder: Comparable {
    package static func < (left: Self, right: Self) -> Bool {
        (left.agent, left.via?.description ?? "") < (right.agent, right.via?.description ?? "")
    }

    fileprivate var json: JSONValue {
        [
            "agent": .string(agent.description), "version": .string(version.description),
            "weight": weight.map { .integer($0) } ?? .null, "tool": .string(tool),
            "operation": .string(operation), "approval": .string(approval.rawValue),
            "agreement": agreement?.json ?? .null, "through": .string(origin),
            "via": via.map { .string($0.description) } ?? .null,
            "path": path.map { .string($0) } ?? .null,
            "line": position.map { .integer(Int64($0.line)) } ?? .null, "arguments": arguments ?? .null,
            "limits": .array(limits.map { .string($0) }),
            "expires": expires.map { .string($0.description) } ?? .null, "expired": .bool(isExpired),
            "observed": .bool(isObserved),
        ]
    }
}
