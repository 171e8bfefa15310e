package import EnsignModel

extension Ledger {
    /// When an artifact was the stable one of an agent, from the newest entry back to what decides.
    ///
    /// The walk ends at a period of `enough` seconds, at what counts against the artifact, or at the first entry: an
    /// agent that is stable now costs the entries of that time, whatever came before.
    ///
    /// - Parameter enough: In seconds.
    package func stableRecord(
        of agent: AgentID,
        _ version: VersionIdentity,
        from tip: RecordedEntry,
        enough: Int64,
        now: Timestamp
    ) throws -> StableRecord {
        var reader = StableRecordReader(agent: agent, version: version, enough: enough, now: now)
        let recorded = RecordedTree(repository: repository, tip: tip)
        let present = try recorded.agent(agent)?.state ?? AgentState(stable: nil)
        guard try reader.look(at: present, tip.entry, { try recorded.bundle($0).map(version.isArtifact) }) else {
            return reader.record
        }
        try walk(from: tip) { entry in
            switch entry.entry.kind {
            case .outcome, .recovery, .halt: break
            case .genesis, .intent, .resume, .refused, .drift, .key: return !reader.pass(entry.entry)
            }
            let changes = try self.changes(of: entry).filter { $0.agent == agent }
            guard let effect = AgentEffect.of(changes, environment: environment)?.first else {
                return !reader.pass(entry.entry)
            }
            let tree = RecordedTree(repository: repository, tip: entry)
            return try reader.take(effect, entry.entry) { try tree.bundle($0).map(version.isArtifact) }
        }
        return reader.record
    }
}

/// Puts the periods of one artifact together, from the newest entry back.
private struct StableRecordReader {
    let agent: AgentID
    let version: VersionIdentity
    let enough: Int64
    let now: Timestamp
    var record = StableRecord(periods: [], flaw: nil)
    /// When the state that is looked at ended; nil at the newest.
    private var ended: Timestamp?
    /// Whether the newest period goes on to the entry that was looked at last.
    private var isOpen = false
    /// Whether going back ended the state before the entry that was taken last.
    private var wasTakenBack = false
    private var known: [Digest: Bool] = [:]

    init(agent: AgentID, version: VersionIdentity, enough: Int64, now: Timestamp) {
        (self.agent, self.version, self.enough, self.now) = (agent, version, enough, now)
    }

    /// Passes an entry that says nothing of the agent.
    ///
    /// - Returns: Whether the present period is long enough by then.
    mutating func pass(_ entry: Entry) -> Bool {
        // Beyond the newest entry that says something of the agent, another one says what it was.
        if isOpen, ended == nil { extend(to: entry) }
        return isEnough
    }

    /// Takes what an entry made of the agent.
    ///
    /// - Returns: Whether older entries can matter.
    mutating func take(
        _ effect: AgentEffect,
        _ entry: Entry,
        _ hasArtifact: (Digest) throws -> Bool?
    ) throws -> Bool {
        let state = effect.state ?? AgentState(stable: effect.stable)
        guard try look(at: state, entry, hasArtifact) else { return false }
        ended = entry.time
        // What the entry left by going back has a flaw; a canary that ended leaves the stable version as it was.
        wasTakenBack = effect.changes.contains { $0.action == .rollback }
        return true
    }

    /// Looks at a state that holds from an entry on.
    ///
    /// - Returns: Whether older entries can matter.
    mutating func look(
        at state: AgentState,
        _ entry: Entry,
        _ hasArtifact: (Digest) throws -> Bool?
    ) throws -> Bool {
        var isStable = false
        if let stable = state.stable {
            if known[stable.digest] == nil { known[stable.digest] = try hasArtifact(stable.digest) }
            isStable = known[stable.digest] ?? false
        }
        let isMarked = state.quarantine.contains { quarantine in
            guard case .artifact(let marked) = quarantine.mark else { return false }
            return version.isNamed(by: marked)
        }
        if isMarked || isStable && state.isHalted {
            record.flaw = isMarked ? "has quarantined it" : "has halted it"
            return false
        }
        guard isStable else {
            isOpen = false
            return true
        }
        if isOpen {
            extend(to: entry)
        } else {
            guard !wasTakenBack else {
                record.flaw = "has taken it back"
                return false
            }
            record.periods.append(StablePeriod(since: entry.time, until: ended, sequence: entry.sequence))
            isOpen = true
        }
        return !isEnough
    }

    private mutating func extend(to entry: Entry) {
        guard let last = record.periods.indices.last else { return }
        record.periods[last].since = min(record.periods[last].since, entry.time)
        record.periods[last].sequence = entry.sequence
    }

    private var isEnough: Bool { record.periods.contains { $0.length(at: now) >= enough } }
}
