/// `kind: Deployment`: which version of an agent runs in an environment, and what it may do there.
package struct Deployment: Sendable {
    /// Nil only while the manifest is being checked: it was refused.
    package var version: Located<AgentVersion>?
    package var autonomy: Autonomy
    /// Where `autonomy` is written; nil when it is the default.
    package var autonomyPosition: Position?
    package var roles: [Located<String>]
    package var grants: [Grant]
    /// US dollars; nil means unlimited.
    package var costUSDPerDay: Double?
    /// Git's own stop: no session gets a route.
    package var halted: Bool
    package var rollout: Rollout?
    package var killSwitch: [KillRule]
    /// Replaces the agent's own triggers here; nil where they are not replaced.
    package var triggers: [JSONValue]?
    /// Runs at a time, beside the agent's own limit; nil means unlimited.
    package var runs: Int64?
    package var mode: EnforcementMode = .enforce

    package init(
        version: Located<AgentVersion>?,
        autonomy: Autonomy,
        autonomyPosition: Position?,
        roles: [Located<String>],
        grants: [Grant],
        costUSDPerDay: Double?,
        halted: Bool,
        rollout: Rollout?,
        killSwitch: [KillRule]
    ) {
        self.version = version
        self.autonomy = autonomy
        self.autonomyPosition = autonomyPosition
        self.roles = roles
        self.grants = grants
        self.costUSDPerDay = costUSDPerDay
        self.halted = halted
        self.rollout = rollout
        self.killSwitch = killSwitch
    }
}

/// The ramp that a new agent climbs, from least to most.
package enum Autonomy: String, Sendable, CaseIterable, Comparable {
    /// Only operations that read.
    case draft
    /// A manager's approval for everything that does not read.
    case approve
    /// A manager's approval for everything that does not read and is above low risk.
    case lowRisk = "low-risk"
    /// Nothing beyond what the grants say.
    case full

    package static func < (left: Autonomy, right: Autonomy) -> Bool { left.rank < right.rank }
    private var rank: Int {
        switch self {
        case .draft: 0
        case .approve: 1
        case .lowRisk: 2
        case .full: 3
        }
    }

    /// The approval that an operation needs under this autonomy, given what its grant asks for; nil when the operation
    /// is left out.
    package func approval(for access: Access, risk: Risk, granted: Approval) -> Approval? {
        switch self {
        case .draft: access == .read ? granted : nil
        case .approve: access == .read ? granted : max(granted, .manager)
        case .lowRisk: access == .read || risk == .low ? granted : max(granted, .manager)
        case .full: granted
        }
    }
}
