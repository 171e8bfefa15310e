import EnsignModel

/// Which live agent continues under which new name: what it runs reappears in the commit that removes its name.
///
/// The nearest first: an agent with its name or its team is more likely the same than a stranger that runs the same,
/// and one that git asks to run it more likely than one that only has that version. Among equals the flagged one is the
/// ancestor, then the order of names decides.
///
/// Agents meet by their artifact, so that a thousand renames do not mean a million comparisons.
struct Renames {
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
    private var found: [AgentID: (Leaving, CompiledBundle)] = [:]

    private init(_ leaving: [Leaving], _ created: [DesiredAgent]) {
        self.leaving = leaving.sorted { left, right in
            left.isFlagged != right.isFlagged ? left.isFlagged : left.agent < right.agent
        }
        self.created = created.sorted { $0.agent < $1.agent }
    }

    /// - Parameter compile: Compiles a version of an agent; nil when that is impossible.
    /// - Returns: By the new name: the agent that it was, and the stable version of that agent under the new name.
    static func find(
        _ leaving: [Leaving],
        _ created: [DesiredAgent],
        compile: (AgentID, AgentVersion) throws -> CompiledBundle?
    ) throws -> [AgentID: (Leaving, CompiledBundle)] {
        var renames = Renames(leaving, created)
        for isNear in [true, false] {
            for isWanted in [true, false] { try renames.match(isNear, isWanted, compile) }
        }
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
            found[agent] = (old, same)
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
