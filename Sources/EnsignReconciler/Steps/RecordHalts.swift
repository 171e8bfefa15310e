import EnsignHost
import EnsignLedger
import EnsignModel
import EnsignPlanner
import EnsignPolicy
import EnsignTargets

/// Steps 4 and 11: stops that are in effect, and not on record yet.
extension ReconcileSession {
    /// Writes the entry for stops that are already in effect.
    ///
    /// Only after an entry that is not an intent: what a dead run had published must be known first.
    ///
    /// - Parameters:
    ///   - more: Stops that could not be remembered.
    ///   - known: Of those that are remembered the ones to record; nil for all.
    mutating func recordHalts(_ more: [HaltRecord] = [], among known: Set<UInt64>? = nil) throws {
        var contents = try halts.file.read()
        try warn(of: contents)
        guard let before = tip, let accepted = before.acceptedSource else { return }
        let moved = try moved(more + contents.pending, before)
        let followed = try follow(more + contents.pending, moved)
        contents.pending += followed
        if let known { contents.pending.removeAll { !known.contains($0.asked) } }
        let records = more + contents.pending
        guard !records.isEmpty else { return }
        let recorded = RecordedTree(repository: site.repository, tip: before)
        var recording = HaltRecording(
            environment: environment,
            recorded: recorded,
            failure: contents.failure,
            now: now,
            halts: try recorded.halts()
        )
        for record in records { try recording.add(record, but: moved?.gone(of: record) ?? []) }
        if !recording.changes.isEmpty {
            try append(
                draft(
                    .halt,
                    Cause(source: try source(accepted), parent: accepted),
                    reason: recording.reason,
                    changes: recording.finished(),
                    agents: before.agents,
                    result: .ok
                ),
                edits: recording.edits(nextSeal())
            )
            report.halts += recording.changes
            try prove(recording)
            try publishHeader()
        } else {
            try prove(recording)
        }
        settle(contents)
    }

    /// Who has been given another name since somebody asked for these; nil where nobody is to be stopped.
    private func moved(_ records: [HaltRecord], _ tip: RecordedEntry) throws -> MovedAgents? {
        guard records.contains(where: { $0.kind == .halt }) else { return nil }
        return try MovedAgents(ledger, tip, records, begun: begun)
    }

    /// Stops that came while agents were given other names hold under those: whichever run gave them, and however it ended.
    ///
    /// - Returns: The stops under the new names, in effect.
    private mutating func follow(_ records: [HaltRecord], _ moved: MovedAgents?) throws -> [HaltRecord] {
        guard let moved else { return [] }
        let followed = moved.following(records)
        if !followed.isEmpty { _ = try halts.pull(followed) }
        for record in followed {
            guard case .agent(let agent) = record.scope, let move = moved.moves.last(where: { $0.to == agent }) else {
                continue
            }
            report.followed.append(agent)
            report.warnings.append("\(move.from) goes on as \(agent), which is halted too")
        }
        return followed
    }

    /// What is on record is no longer pending. Where the file cannot be written this is said, and found again: it is no
    /// reason to call the stop unrecorded.
    private mutating func settle(_ contents: HaltsFile.Contents) {
        guard !contents.pending.isEmpty else { return }
        do { try halts.file.finish(Set(contents.pending.map(\.id))) } catch {
            report.warnings.append("the stops are on record, and still pending in the halts file: \(error)")
        }
    }

    /// Puts the routes in place that the ledger has now: the stop itself needed no proof, and may have removed a file for
    /// lack of room. The proof keeps readers from taking what was signed before for newer.
    private func prove(_ recording: HaltRecording) throws {
        let recorded = RecordedTree(repository: site.repository, tip: tip)
        var publication = Publication()
        for agent in recording.covered.sorted() {
            let path = LivePath.route(agent)
            guard let bytes = try recorded.node(path).map(recorded.bytes), Route.isHalted(bytes),
                try target.read(path) != bytes
            else { continue }
            publication.routes.append((path, .bytes(bytes)))
        }
        if !publication.routes.isEmpty { try target.publish(publication, gate: gate) }
    }

    private mutating func warn(of contents: HaltsFile.Contents) throws {
        if contents.damaged > 0 {
            // What cannot be set aside stays, and is reported again.
            let aside = (try? halts.file.setDamagedAside()) ?? 0
            let place = aside > 0 ? "kept in \(halts.file.path).damaged" : "in \(halts.file.path)"
            let records = counted(contents.damaged, "record")
            let warning =
                "\(records) of the halts file cannot be read, \(place): look whether an agent was to be halted"
            if !report.warnings.contains(warning) { report.warnings.append(warning) }
        }
        if contents.unknown > 0 {
            let records = counted(contents.unknown, "record")
            let warning =
                "\(records) of \(halts.file.path) were written by a newer version of Ensign and are not followed"
            if !report.warnings.contains(warning) { report.warnings.append(warning) }
        }
    }
}
