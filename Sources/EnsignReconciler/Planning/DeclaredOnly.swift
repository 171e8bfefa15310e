import EnsignModel

/// What manifests declare and nothing enforces: a plan says it. What the gateway enforces is said only where there is none.
enum DeclaredOnly {
    /// Of an environment's own manifest, and of the teams that have agents in it.
    static func names(_ environment: Environment, _ policy: GatewayPolicy?, hasGateway: Bool) -> [String] {
        guard !hasGateway else { return names(environment.rollout) }
        let own = environment.costUSDPerDay == nil ? [] : ["limits.costUSDPerDay"]
        let teams = (policy?.teams ?? [:]).filter { $0.value.costUSDPerDay != nil }.keys.sorted()
        return own + teams.map { "limits.costUSDPerDay of \($0)" } + names(environment.rollout)
    }

    /// Of a deployment, and of what it deploys.
    static func names(_ deployment: Deployment, _ bundle: Bundle, hasGateway: Bool) -> [String] {
        var names: [String] = []
        if deployment.costUSDPerDay != nil, !hasGateway { names.append("limits.costUSDPerDay") }
        names += self.names(deployment.rollout)
        if !bundle.triggers.isEmpty { names.append("triggers") }
        names += bundle.tools.filter { $0.store != nil }.map { "store of \($0.tool)" }
        return hasGateway ? names : names + forGateway(bundle)
    }

    /// Parts of an analysis that nothing reads yet.
    private static func names(_ rollout: Rollout?) -> [String] {
        guard case .canary(let canary) = rollout, let metrics = canary.analysis?.metrics else { return [] }
        return metrics.filter { $0.query != nil && $0.guarding != .off }.map { "guard of \($0.name)" }
    }

    /// What only a gateway can hold against calls.
    private static func forGateway(_ bundle: Bundle) -> [String] {
        var names: [String] = []
        if bundle.limits.runs != nil { names.append("limits.runs") }
        if bundle.mode != .enforce { names.append("mode") }
        let operations = bundle.tools.flatMap { tool in
            tool.operations.sorted { $0.key < $1.key }.map { (name: "\(tool.tool).\($0.key)", value: $0.value) }
        }
        let conditions: [(String, (BundleOperation) -> Bool)] = [
            ("approvers", { $0.approvers != nil }), ("rate", { $0.rate != nil }), ("after", { !$0.after.isEmpty }),
            ("record", { !$0.record.isEmpty }), ("pin", { $0.pin != nil }),
        ]
        for (condition, isDeclared) in conditions {
            let found = operations.filter { isDeclared($0.value) }
            guard let first = found.first else { continue }
            names.append("\(condition) of \(first.name)" + (found.count > 1 ? " and \(found.count - 1) more" : ""))
        }
        return names
    }
}
