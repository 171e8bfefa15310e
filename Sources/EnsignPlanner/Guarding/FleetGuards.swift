package import EnsignModel

/// What guards the agents of one environment, as one commit declares it.
package struct FleetGuards: Sendable {
    package var environment: String
    package var settings: Environment
    /// The deployments' own settings. Agents with the same on both sides may be left out, as long as the environment's
    /// rules are the same too.
    package var own: [AgentID: OwnGuards]
    /// By model. Nil when they cannot be read: costs are then unknown.
    package var prices: [String: Prices.Price]?
    package var signers: [TrustedKey]
    /// Who may agree to calls, and what teams may spend; nil where there is nothing of that, or nothing of it differs.
    package var policy: GatewayPolicy?

    package init(
        environment: String,
        settings: Environment,
        own: [AgentID: OwnGuards] = [:],
        prices: [String: Prices.Price]? = [:],
        signers: [TrustedKey] = []
    ) {
        self.environment = environment
        self.settings = settings
        self.own = own
        self.prices = prices
        self.signers = signers
    }
}

/// A deployment's own settings.
package struct OwnGuards: Sendable, Hashable {
    /// In addition to the environment's.
    package var killSwitch: [KillRule]
    /// In place of the environment's.
    package var rollout: Rollout?

    package init(killSwitch: [KillRule] = [], rollout: Rollout? = nil) {
        self.killSwitch = killSwitch
        self.rollout = rollout
    }

    package init(_ deployment: Deployment) {
        self.init(killSwitch: deployment.killSwitch, rollout: deployment.rollout)
    }
}

/// A line of `fleet/trust/allowed_signers`.
package struct TrustedKey: Sendable, Hashable {
    /// `SHA256:...`
    package var fingerprint: String
    package var principals: String
    /// Nil for any.
    package var namespaces: String?
    /// Seconds since 1970; nil for always.
    package var validAfter: Int64?
    package var validBefore: Int64?
    package var isAuthority: Bool

    package init(
        fingerprint: String,
        principals: String,
        namespaces: String?,
        validAfter: Int64?,
        validBefore: Int64?,
        isAuthority: Bool
    ) {
        self.fingerprint = fingerprint
        self.principals = principals
        self.namespaces = namespaces
        self.validAfter = validAfter
        self.validBefore = validBefore
        self.isAuthority = isAuthority
    }

    package static func == (left: TrustedKey, right: TrustedKey) -> Bool {
        left.fingerprint == right.fingerprint && left.principals.hasSameUTF8(as: right.principals)
            && left.namespaces.hasSameUTF8(as: right.namespaces) && left.validAfter == right.validAfter
            && left.validBefore == right.validBefore && left.isAuthority == right.isAuthority
    }
}
