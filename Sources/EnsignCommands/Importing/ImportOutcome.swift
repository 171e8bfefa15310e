import EnsignCommandLine
import EnsignImport
import EnsignManifest
import EnsignModel

/// What came of importing one tool or agent: rendered as text, as JSON, and as an exit status.
struct ImportOutcome {
    /// What it is called in the fleet.
    var name: String
    /// The file that was, or would be, written; nil when there is none.
    var path: String?
    var state: State
    var differences: [ImportDifference] = []
    var decisions: [ImportDecision] = []
    /// Why nothing could be imported at all.
    var failure: String?
    /// The last words of a server that could not be asked.
    var said: [String] = []
    var hints: [String] = []

    enum State: String {
        case created, updated, unchanged
        case wouldCreate = "would-create"
        case wouldUpdate = "would-update"
        /// Nothing could be declared.
        case refused
        /// The source could not be read or asked.
        case failed
    }

    /// Says of decisions where a file has what they are about.
    ///
    /// - Parameter pointer: Where in the file a subject stands; nil for one that does not.
    mutating func place(in file: String, _ bytes: [UInt8], _ pointer: (_ subject: String) -> [String]?) {
        // No more than is shown.
        let placed = decisions.indices.prefix(Self.shown).compactMap { index in
            decisions[index].subject.flatMap(pointer).map { (index, $0) }
        }
        let positions = ManifestLoader.positions(of: placed.map(\.1), in: bytes)
        for ((index, _), position) in zip(placed, positions) {
            guard let position else { continue }
            decisions[index].place = "\(file):\(position.line):\(position.column)"
        }
    }

    /// The most decisions of one import that are shown.
    static let shown = 200

    var json: JSONValue {
        [
            "name": .string(name), "path": path.map { .string($0) } ?? .null, "state": .string(state.rawValue),
            "differences": .array(differences.map(\.json)), "decisions": .array(decisions.map(\.json)),
            "failure": failure.map { .string($0) } ?? .null,
        ]
    }

    var differs: Bool { state == .wouldCreate || state == .wouldUpdate }

    /// What failed, then what differs, then what was left out: a job that lives with what is left out must still see that
    /// something changed.
    static func status(_ outcomes: [ImportOutcome]) -> ExitCode {
        if outcomes.contains(where: { $0.state == .failed }) { return .failed }
        if outcomes.contains(where: \.differs) { return .differences }
        let leftOut = outcomes.contains { outcome in
            outcome.state == .refused || outcome.decisions.contains { $0.kind == .leftOut }
        }
        return leftOut ? .invalid : .done
    }
}

extension Invocation {
    /// Shows what came of an import.
    func show(_ outcomes: [ImportOutcome]) -> ExitCode {
        if format == .json {
            // "version" is how it was called before all answers had "v".
            json(["v": 1, "version": 1, "imports": .array(outcomes.map(\.json))])
            return ImportOutcome.status(outcomes)
        }
        for outcome in outcomes { show(outcome, isOneOfSeveral: outcomes.count > 1) }
        return ImportOutcome.status(outcomes)
    }

    private func show(_ outcome: ImportOutcome, isOneOfSeveral: Bool) {
        if let failure = outcome.failure {
            console.note("ensign: error: \(outcome.name.onOneLine(utf8: 140)): \(failure)")
            for line in outcome.said { console.note("  \(line)") }
            for hint in outcome.hints { console.note("  \(console.paintNote("hint", .cyan)): \(hint.onOneLine)") }
        }
        if let path = outcome.path {
            console.line(isQuiet ? path : "\(path): \(Self.words(outcome.state))")
        }
        guard !isQuiet else { return }
        let shown = outcome.state == .created ? [] : outcome.differences
        for difference in shown.prefix(200) { console.line("  \(difference.text)") }
        if shown.count > 200 { console.line("  and \(shown.count - 200) more") }
        if outcome.state == .created, outcome.differences.count > 1 {
            console.line("  \(counted(outcome.differences.count, "operation"))")
        }
        guard !outcome.decisions.isEmpty else { return }
        console.note(isOneOfSeveral ? "To decide about \(outcome.name.onOneLine(utf8: 140)):" : "To decide:")
        for decision in outcome.decisions.prefix(ImportOutcome.shown) {
            console.note("  [\(decision.kind.rawValue)] \(decision.text)")
        }
        if outcome.decisions.count > ImportOutcome.shown {
            console.note("  and \(outcome.decisions.count - ImportOutcome.shown) more")
        }
    }

    private static func words(_ state: ImportOutcome.State) -> String {
        switch state {
        case .created: "created"
        case .updated: "updated"
        case .unchanged: "unchanged"
        case .wouldCreate: "is new"
        case .wouldUpdate: "differs"
        case .refused: "nothing can be declared"
        case .failed: "failed"
        }
    }
}
