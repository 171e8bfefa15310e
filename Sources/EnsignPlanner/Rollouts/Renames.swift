import EnsignModel

/// Which live agent continues under which new name: what it runs reappears in the commit that removes its name.
///
/// The nearest first: an agent with its name or its team is more likely the same than a stranger that runs the same,
/// and one that git asks to run it more likely than one that only has that version. Among equals the flagged one is the
/// ancestor, then the order of names decides.
///
/// Where nobody meets what an agent runs, what git asks of it counts: a version that waits, while the agent is halted or its
/// canary goes on, is the agent's too.
///
/// Agents meet by their artifact, so that a thousand renames do not mean a million comparisons.
struct Renames {
    /// Who an agent was.
    struct Former {
        var leaving: Leaving
        /// Its stable version under the new name; nil when that cannot be compiled any more.
        var stable: CompiledBundle?
    }

    /// A live agent that the plan removes.
    struct Leaving {
        var agent: AgentID
        var stable: Change.Side
        var bundle: Bundle
        /// Whether something of it is remembered that must not be lost: a stop, a quarantine, a rollout, a word.
        var isFlagged = false
    }

    /// The flagged ones first, then by name.
    private let leaving: [Leaving]
    /// What git declares and is not live, by name.
    private let created: [DesiredAgent]
    private var continued: Set<AgentID> = []
    private var found: [AgentID: Former] = [:]

    private init(_ leaving: [Leaving], _ created: [DesiredAgent]) {
        self.leaving = leaving.sorted { left, right in
            left.isFlagged != right.isFlagged ? left.isFlagged : left.agent < right.agent
        }
        self.created = created.sorted { $0.agent < $1.agent }
    }

    /// - Parameters:
    ///   - asked: What the last accepted commit asks of an agent.
    ///   - compile: Compiles a version of an agent; nil when that is impossible.
    /// - Returns: By the new name.
    static func find(
        _ leaving: [Leaving],
        _ created: [DesiredAgent],
        asked: (AgentID) throws -> CompiledBundle? = { _ in nil },
        compile: (AgentID, AgentVersion) throws -> CompiledBundle?
    ) throws -> [AgentID: Former] {
        var renames = Renames(leaving, created)
        for isNear in [true, false] {
            for isWanted in [true, false] { try renames.match(isNear, isWanted, compile) }
        }
        for isNear in [true, false] { try renames.matchAsked(isNear, asked, compile) }
        return renames.found
    }

    /// - Parameters:
    ///   - isNear: Whether only agents with the same name or the same team are the same.
    ///   - isWanted: Whether what git asks of a created agent must be what the old one runs. Otherwise each version is
    ///     compiled that an agent runs which it may have been.
    private mutating func match(
        _ isNear: Bool,
        _ isWanted: Bool,
        _ compile: (AgentID, AgentVersion) throws -> CompiledBundle?
    ) throws {
        let open = leaving.filter { !continued.contains($0.agent) }
        guard !open.isEmpty else { return }
        let versions = Self.versions(of: open, isNear)
        var waiting: [Meeting: Queue] = [:]
        for item in created where found[item.agent] == nil {
            let places = Self.places(of: item.agent, isNear)
            let wanted = places.reduce(into: Set<AgentVersion>()) { $0.formUnion(versions[$1] ?? []) }
            guard !wanted.isEmpty else { continue }
            let others =
                try isWanted ? [] : wanted.filter { $0 != item.compiled?.version }.map { try compile(item.agent, $0) }
            for offered in (isWanted ? [item.compiled] : others).compactMap({ $0 }) {
                for artifact in Recorded.all(of: offered.identity) {
                    for place in places {
                        waiting[Meeting(artifact: artifact, place: place), default: Queue()].offers.append(
                            (item.agent, offered)
                        )
                    }
                }
            }
        }
        for old in open {
            let meetings = Self.places(of: old.agent, isNear).flatMap { place in
                Recorded.all(of: old.bundle).map { Meeting(artifact: $0, place: place) }
            }
            let heads = meetings.compactMap { waiting[$0]?.first { found[$0] == nil } }
            guard let (agent, offered) = heads.min(by: { $0.0 < $1.0 }),
                let same = offered.version == old.stable.version ? offered : try compile(agent, old.stable.version),
                same.identity.isArtifact(of: old.bundle)
            else { continue }
            found[agent] = Former(leaving: old, stable: same)
            continued.insert(old.agent)
        }
    }

    /// Matches by what the last accepted commit asks of the old one: the new one is asked just that.
    private mutating func matchAsked(
        _ isNear: Bool,
        _ asked: (AgentID) throws -> CompiledBundle?,
        _ compile: (AgentID, AgentVersion) throws -> CompiledBundle?
    ) throws {
        let open = leaving.filter { !continued.contains($0.agent) }
        guard !open.isEmpty else { return }
        var waiting: [Meeting: Queue] = [:]
        for item in created where found[item.agent] == nil {
            guard let offered = item.compiled else { continue }
            for place in Self.places(of: item.agent, isNear) {
                let meeting = Meeting(artifact: Recorded(artifact: offered.artifact, runtime: nil), place: place)
                waiting[meeting, default: Queue()].offers.append((item.agent, offered))
            }
        }
        guard !waiting.isEmpty else { return }
        for old in open {
            guard let asked = try asked(old.agent) else { continue }
            let heads = Self.places(of: old.agent, isNear).compactMap { place in
                let meeting = Meeting(artifact: Recorded(artifact: asked.artifact, runtime: nil), place: place)
                return waiting[meeting]?.first { found[$0] == nil }
            }
            guard let (agent, _) = heads.min(by: { $0.0 < $1.0 }) else { continue }
            let stable = try compile(agent, old.stable.version)
            let isSame = stable?.identity.isArtifact(of: old.bundle) == true
            found[agent] = Former(leaving: old, stable: isSame ? stable : nil)
            continued.insert(old.agent)
        }
    }

    /// The versions that agents of a place run.
    private static func versions(of open: [Leaving], _ isNear: Bool) -> [Place: Set<AgentVersion>] {
        var versions: [Place: Set<AgentVersion>] = [:]
        for old in open {
            for place in places(of: old.agent, isNear) { versions[place, default: []].insert(old.stable.version) }
        }
        return versions
    }

    private static func places(of agent: AgentID, _ isNear: Bool) -> [Place] {
        isNear ? [.name(agent.name), .team(agent.team)] : [.anywhere]
    }

    // MARK: Meeting

    private enum Place: Hashable {
        case name(String)
        case team(String)
        case anywhere
    }

    private struct Meeting: Hashable {
        var artifact: Recorded
        var place: Place
    }

    /// An artifact as a bundle may record it, see ``VersionIdentity/isArtifact(of:)``.
    private struct Recorded: Hashable {
        var artifact: Digest
        /// Nil where the artifact covers it.
        var runtime: JSONValue?

        static func all(of identity: VersionIdentity) -> [Recorded] {
            [Recorded(artifact: identity.artifact, runtime: nil)]
                + [identity.formerArtifact].compactMap { former in
                    former.map { Recorded(artifact: $0, runtime: identity.runtime) }
                }
        }

        static func all(of bundle: Bundle) -> [Recorded] {
            [
                Recorded(artifact: bundle.artifact, runtime: nil),
                Recorded(artifact: bundle.artifact, runtime: bundle.runtime),
            ]
        }
    }

    /// Who waits at one place with one artifact, by name. Who is taken is passed by once.
    private struct Queue {
        var offers: [(AgentID, CompiledBundle)] = []
        private var next = 0

        mutating func first(where isFree: (AgentID) -> Bool) -> (AgentID, CompiledBundle)? {
            while next < offers.count, !isFree(offers[next].0) { next += 1 }
            return next < offers.count ? offers[next] : nil
        }
    }
}
