package import EnsignModel

extension Ledger {
    /// The newest entry that published: `refused`, `drift` and `key` entries leave the header as it is.
    package func publishing(_ tip: RecordedEntry) throws -> RecordedEntry {
        var found = tip
        try walk(from: tip) { entry in
            found = entry
            switch entry.entry.kind {
            case .genesis, .outcome, .recovery, .halt: return false
            case .intent, .resume, .refused, .drift, .key: return true
            }
        }
        return found
    }

    /// Whether everything that the accepted source asked for is live, as far as the ledger knows.
    package func isComplete(_ tip: RecordedEntry) throws -> Bool {
        let entry = try converging(tip).entry
        return entry.kind != .genesis && entry.result == .ok
    }

    /// The newest entry that says how much of the accepted source is live: a halt does not.
    func converging(_ tip: RecordedEntry) throws -> RecordedEntry {
        var found = tip
        try walk(from: tip) { entry in
            found = entry
            switch entry.entry.kind {
            case .genesis, .outcome, .recovery: return false
            case .intent, .resume, .refused, .drift, .halt, .key: return true
            }
        }
        return found
    }
}

extension RecordedEntry {
    /// `fleet.json` as this entry publishes it, but for the time and the proof.
    package var header: LiveHeader {
        LiveHeader(
            environment: entry.environment,
            entry: commit,
            sequence: entry.sequence,
            source: acceptedSource ?? .zero,
            agents: agents
        )
    }
}
