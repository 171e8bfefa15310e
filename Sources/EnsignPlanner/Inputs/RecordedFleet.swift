package import EnsignModel

/// The planner's lookups of the recorded state. Pure for the planner: same answers, same plan.
package struct RecordedFleet {
    /// How many agents are live.
    package var live: Int64
    package var agent: (AgentID) throws -> RecordedAgent?
    /// Whether an agent is live; called for every desired agent.
    package var isLive: (AgentID) throws -> Bool
    /// The live agents of a team.
    package var members: (String) throws -> [AgentID]
    package var bundle: (Digest) throws -> Bundle?
    /// When a digest that is still kept was stable for an agent; nil when it never was.
    package var history: (AgentID, Digest) throws -> StableHistory?
    /// Digests that are still kept and were stable before the present one, the latest first.
    package var earlier: (AgentID) throws -> [Digest]
    /// Whether a digest ever was an agent's stable one, kept or not.
    package var wasStable: (AgentID, Digest) throws -> Bool
    /// Agents with more on record than a route, deleted ones included; sorted.
    package var remembered: () throws -> [AgentID]
    /// Stops of everything and of teams.
    package var halts: FleetHalts

    package init(
        live: Int64,
        agent: @escaping (AgentID) throws -> RecordedAgent?,
        isLive: @escaping (AgentID) throws -> Bool,
        members: @escaping (String) throws -> [AgentID],
        bundle: @escaping (Digest) throws -> Bundle?,
        history: @escaping (AgentID, Digest) throws -> StableHistory?,
        earlier: @escaping (AgentID) throws -> [Digest] = { _ in [] },
        wasStable: @escaping (AgentID, Digest) throws -> Bool = { _, _ in false },
        remembered: @escaping () throws -> [AgentID] = { [] },
        halts: FleetHalts = FleetHalts()
    ) {
        self.earlier = earlier
        self.wasStable = wasStable
        self.isLive = isLive
        self.members = members
        self.remembered = remembered
        self.halts = halts
        self.live = live
        self.agent = agent
        self.bundle = bundle
        self.history = history
    }
}
