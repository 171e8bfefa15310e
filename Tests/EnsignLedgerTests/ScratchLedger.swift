import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignTestSupport
import Foundation
import Testing

/// A ledger in a scratch repository, with the key that signs it and the commit that asks for what it records.
final class ScratchLedger {
    let scratch: ScratchRepository
    let ledger: Ledger
    var key: LedgerKey
    /// The source commit of what is appended next.
    var source: ObjectID
    /// Of what is appended next.
    var format = Entry.Format.current
    private(set) var tip: RecordedEntry?
    private var seconds: Int64 = 1_800_000_000

    static let environment = "prod"
    static let actor = Entry.Actor(mode: .cli, name: "ada", host: "here", version: "0.0.0")

    /// - Parameter begins: Whether to write genesis.
    init(begins: Bool = true) throws {
        scratch = try ScratchRepository()
        ledger = Ledger(repository: scratch.repository, environment: Self.environment)
        key = try LedgerKey.create(Self.environment, path: ledger.files.key(Self.environment))
        source = try scratch.commit(["a": "1"])
        if begins { try append(.genesis, keys: [key.publicKey.line]) }
    }

    var highWater: String { ledger.files.highWater(Self.environment) }

    func draft(
        _ kind: Entry.Kind,
        _ changes: [Change] = [],
        agents: Int64? = nil,
        reason: String = "sync",
        result: Entry.Result = .ok,
        keys: [String]? = nil
    ) -> EntryDraft {
        seconds += 60
        let named = Entry.Source(
            ref: ScratchRepository.branch,
            commit: source,
            author: "Ada",
            signer: nil,
            signature: .none
        )
        var draft = EntryDraft(
            kind: kind,
            source: kind == .genesis ? nil : named,
            parent: kind == .genesis ? nil : source,
            actor: Self.actor,
            time: Timestamp(seconds: seconds),
            reason: Entry.Reason(text: reason),
            changes: changes,
            agents: agents ?? tip?.agents ?? 0,
            result: result,
            keys: keys
        )
        draft.format = format
        return draft
    }

    /// Appends one entry, whatever it says.
    @discardableResult
    func append(
        _ kind: Entry.Kind,
        _ changes: [Change] = [],
        edits: [String: FileContent?] = [:],
        agents: Int64? = nil,
        reason: String = "sync",
        result: Entry.Result = .ok,
        keys: [String]? = nil
    ) throws -> RecordedEntry {
        let draft = draft(kind, changes, agents: agents, reason: reason, result: result, keys: keys)
        let entry = try ledger.append(draft, after: tip, edits: edits, key: key)
        tip = entry
        return entry
    }

    /// Appends an intent and its outcome, with the tree that follows from the changes.
    @discardableResult
    func publish(_ changes: [Change], bundles: [CompiledBundle] = []) throws -> RecordedEntry {
        try append(.intent, changes, result: .pending)
        return try append(.outcome, changes, edits: try edits(changes, bundles), agents: try live(changes))
    }

    /// What changes make of the tree.
    func edits(_ changes: [Change], _ bundles: [CompiledBundle]) throws -> [String: FileContent?] {
        var edits: [String: FileContent?] = [:]
        for effect in try effects(changes) {
            edits[LivePath.route(effect.agent)] = .some((effect.route?.bytes).map { .bytes($0) })
            edits[AgentState.path(effect.agent)] = .some((effect.state?.bytes).map { .bytes($0) })
        }
        for bundle in bundles { edits[LivePath.bundle(bundle.digest)] = bundle.file }
        return edits
    }

    func live(_ changes: [Change]) throws -> Int64 {
        try effects(changes).reduce(tip?.agents ?? 0) { $0 + $1.changes.live }
    }

    private func effects(_ changes: [Change]) throws -> [AgentEffect] {
        try #require(AgentEffect.of(changes, environment: Self.environment))
    }

    /// Goes on from an entry other than the newest, as a writer does that knows nothing newer.
    func pretend(_ tip: RecordedEntry?) { self.tip = tip }

    /// Makes the ref point elsewhere, as somebody does who may write to the repository.
    func point(at commit: ObjectID?) throws {
        let file = "\(scratch.path)/\(ledger.ref)"
        if let commit {
            try Data("\(commit)\n".utf8).write(to: URL(fileURLWithPath: file))
        } else {
            try FileManager.default.removeItem(atPath: file)
        }
    }

    /// Removes an object from the repository.
    func lose(_ object: ObjectID) throws {
        let hex = object.description
        try FileManager.default.removeItem(atPath: "\(scratch.path)/objects/\(hex.prefix(2))/\(hex.dropFirst(2))")
    }

    /// The ledger as another process sees it, which remembers nothing.
    func reopened() throws -> Ledger {
        Ledger(repository: try scratch.another(), environment: Self.environment)
    }

    func verify() throws -> Verifier.Report { try Verifier(reopened()).run() }
}

extension Change {
    static func create(_ bundle: CompiledBundle) -> Change {
        Change(agent: bundle.agent, action: .create, from: nil, to: bundle.side, kind: .widening)
    }

    static func update(_ old: CompiledBundle, _ new: CompiledBundle) -> Change {
        Change(agent: new.agent, action: .update, from: old.side, to: new.side, kind: .behaviour)
    }

    static func delete(_ bundle: CompiledBundle) -> Change {
        Change(agent: bundle.agent, action: .delete, from: bundle.side, to: nil, kind: .narrowing)
    }

    /// A stop of an agent that runs.
    static func halt(_ bundle: CompiledBundle) -> Change {
        var change = Change(
            agent: bundle.agent,
            action: .halt,
            from: bundle.side,
            to: bundle.side,
            kind: .narrowing
        )
        let halt = Halt(since: Timestamp(seconds: 1_800_000_000), reason: "it loops", by: "ada@here")
        change.remember(AgentState(stable: bundle.side, halt: halt))
        return change
    }
}
