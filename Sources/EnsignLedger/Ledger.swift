package import EnsignCrypto
package import EnsignGit
import EnsignJSON
package import EnsignModel
import EnsignSystem

/// The ledger of one environment: a chain of signed commits at `refs/ensign/ledger/<env>`.
package struct Ledger {
    package let repository: Repository
    package let environment: String
    package let files: LedgerFiles
    /// Of an entry newer than the one with this number that something else than the mark says was written here: its
    /// number; nil when nothing does.
    private let witness: ((_ after: Int64) throws -> Int64?)?

    package init(
        repository: Repository,
        environment: String,
        witness: ((_ after: Int64) throws -> Int64?)? = nil
    ) {
        self.repository = repository
        self.environment = environment
        self.witness = witness
        files = LedgerFiles(commonDirectory: repository.commonDirectory)
    }

    package static let prefix = "refs/ensign/ledger/"
    package var ref: String { Self.prefix + environment }

    /// Environments that have a ledger here, sorted; including any whose ref cannot be read, which is a separate
    /// problem.
    package static func environments(in repository: Repository) throws -> [String] {
        try repository.referenceNames(matching: prefix + "*").map { String($0.dropFirst(prefix.count)) }
            .filter { Name.isValid($0) }
    }

    // MARK: Reading

    /// The newest entry; nil when the ledger has not begun.
    ///
    /// - Throws: When the ref or its target cannot be read: only "not found" means that there is none.
    package func tip() throws -> RecordedEntry? {
        try newest().map { try read($0) }
    }

    /// The newest entry, for whoever answers questions from it.
    ///
    /// - Throws: ``LedgerError`` also when the ledger is not what was seen here before: rolled back, gone, or forked.
    package func checkedTip() throws -> RecordedEntry? {
        let tip = try tip()
        try checkHighWater(tip)
        return tip
    }

    /// The commit that the ref names; nil when there is no ref.
    ///
    /// - Throws: Also for a symbolic ref that names nothing: the ledger may be elsewhere.
    func newest() throws -> ObjectID? {
        if let commit = try repository.reference(ref) { return commit }
        let end = try repository.finalName(of: ref)
        guard end == ref else {
            throw GitError(
                code: -1,
                operation: "read \(ref)",
                message: "it is a symbolic ref, and \(end ?? "where it leads to") does not exist"
            )
        }
        return nil
    }

    /// Reads one entry and checks its commit against the canonical form and its own signature.
    ///
    /// - Parameter raw: The commit's bytes, if they were read before.
    package func read(_ commit: ObjectID, raw known: [UInt8]? = nil) throws -> RecordedEntry {
        let raw: [UInt8]
        do { raw = try known ?? repository.bytes(of: commit, .commit) } catch let error as GitError
            where error.isOfAnotherKind
        {
            throw broken(nil, "\(commit) is not a commit")
        }
        guard let parsed = LedgerCommit.parts(raw) else {
            let isSigned = Commit(raw)?.signature != nil
            throw broken(nil, "commit \(commit) is not \(isSigned ? "in the canonical form" : "a signed commit")")
        }
        let root = try repository.tree(parsed.tree)
        guard let file = root.first(where: { $0.name.elementsEqual("entry.json".utf8) }), file.mode == .file else {
            throw broken(nil, "commit \(commit) has no entry.json")
        }
        // Its SHA-256 is in the signed message, which is compared below.
        let bytes = try repository.bytes(of: file.id, .blob, proof: .ownCheck)
        guard bytes.count <= Entry.maxBytes, let json = try? JSONParser.parse(bytes), let entry = Entry(json: json),
            entry.bytes == bytes
        else {
            throw broken(
                nil,
                "entry.json of commit \(commit) is not a canonical entry of a version that this Ensign knows"
            )
        }
        guard entry.environment == environment else {
            throw broken(entry.sequence, "the entry is about '\(entry.environment)'")
        }
        let digest = SHA256.hex(of: bytes)
        let payload = LedgerCommit.payload(entry, entrySHA256: digest, tree: parsed.tree, parents: parsed.parents)
        let signature = String(decoding: parsed.signature, as: UTF8.self)
        guard LedgerCommit.signed(payload, signature: signature) == raw else {
            throw broken(entry.sequence, "commit \(commit) is not in the canonical form")
        }
        guard let parsedSignature = try? SSHSignature(armored: parsed.signature), parsedSignature.hasOpenSSHColumns,
            parsedSignature.verdict(on: payload, namespace: LedgerCommit.namespace) == .good
        else { throw broken(entry.sequence, "the signature of commit \(commit) is not good") }
        return RecordedEntry(
            commit: commit,
            tree: parsed.tree,
            parents: parsed.parents,
            entry: entry,
            sha256: digest,
            root: root,
            signer: parsedSignature.publicKey
        )
    }

    private func broken(_ sequence: Int64?, _ why: String) -> LedgerError {
        .broken(environment: environment, sequence: sequence, why: why)
    }

    /// Calls `body` with the entries from `tip` back to the first, until it returns false.
    ///
    /// - Throws: ``LedgerError`` when an entry's number does not follow the one before it: content under another
    ///   commit's name could lead in a circle.
    package func walk(from tip: RecordedEntry, _ body: (RecordedEntry) throws -> Bool) throws {
        var current = tip
        while try body(current) {
            let sequence = current.entry.sequence
            guard let previous = current.entry.previous else {
                guard sequence == 0 else { throw broken(sequence, "nothing comes before it, and its number is not 0") }
                return
            }
            current = try read(previous.commit)
            guard current.entry.sequence + 1 == sequence else {
                throw broken(sequence, "the number does not follow \(current.entry.sequence)")
            }
        }
    }

    /// All changes of an entry, wherever they are.
    package func changes(of recorded: RecordedEntry) throws -> [Change] {
        guard let elsewhere = recorded.entry.changesElsewhere else { return recorded.entry.changes }
        guard let file = recorded.root.first(where: { $0.name.elementsEqual("changes.jsonl".utf8) }) else {
            throw broken(recorded.entry.sequence, "changes.jsonl is missing")
        }
        let bytes = try repository.bytes(of: file.id, .blob, proof: .ownCheck)
        guard SHA256.hex(of: bytes) == elsewhere.sha256 else {
            throw broken(recorded.entry.sequence, "changes.jsonl is not what the entry says")
        }
        var changes: [Change] = []
        for line in bytes.split(separator: 0x0A) {
            guard let change = try Change(json: JSONParser.parse(Array(line)), recorded.entry.format) else {
                throw broken(recorded.entry.sequence, "changes.jsonl holds something else than changes")
            }
            changes.append(change)
        }
        guard Int64(changes.count) == elsewhere.total else {
            throw broken(recorded.entry.sequence, "changes.jsonl has \(changes.count) changes, not \(elsewhere.total)")
        }
        return changes
    }

    /// Checks the tip against what was seen here before: the high-water mark, and what was signed with an entry's number.
    /// A backup that is put back brings its own mark.
    ///
    /// - Parameter demandsWitness: Whether it is an error that what was signed cannot be read: for a run that changes it. Others
    ///   may read the ledger and nothing else.
    /// - Throws: ``LedgerError`` when the ledger was rolled back or forked.
    package func checkHighWater(_ tip: RecordedEntry?, demandsWitness: Bool = false) throws {
        try checkMark(tip)
        let newest = tip?.entry.sequence ?? -1
        let signed: Int64?
        do { signed = try witness?(newest) } catch {
            guard tip == nil || demandsWitness else { return }
            throw error
        }
        guard let signed else { return }
        // Another process may have gone on in the meantime.
        if let now = try self.tip(), now.entry.sequence >= signed { return }
        throw LedgerError.behind(environment: environment, at: newest, signed: signed)
    }

    /// Takes the ledger for what it is now, whatever was seen before.
    package func forgetNewer(_ tip: RecordedEntry) throws {
        try HighWater(sequence: tip.entry.sequence, commit: tip.commit).write(files.highWater(environment))
    }

    private func checkMark(_ tip: RecordedEntry?) throws {
        guard let mark = try HighWater.read(files.highWater(environment)) else { return }
        guard let tip else { throw LedgerError.rolledBack(environment: environment, at: -1, seen: mark.sequence) }
        if tip.commit == mark.commit { return }
        if tip.entry.sequence < mark.sequence {
            throw LedgerError.rolledBack(environment: environment, at: tip.entry.sequence, seen: mark.sequence)
        }
        // A process that died between moving the ref and writing the mark leaves the mark behind.
        var found = false
        try walk(from: tip) { entry in
            found = entry.commit == mark.commit
            return entry.entry.sequence > mark.sequence && !found
        }
        if !found { throw LedgerError.forked(environment: environment, at: mark.sequence) }
    }

    // MARK: Writing

    /// Writes an entry that leaves the recorded state as it is.
    package func append(_ draft: EntryDraft, after tip: RecordedEntry?, key: LedgerKey) throws -> RecordedEntry {
        try append(draft, after: tip, edits: [], key: key)
    }

    /// Writes an entry and moves the ref to it, durably. The caller holds the environment's lock.
    ///
    /// - Parameters:
    ///   - tip: The newest entry; nil for `genesis`.
    ///   - edits: Changes to the tree besides `entry.json`: what to write, or nil to remove.
    /// - Throws: ``LedgerError/lostRace(environment:)`` when the ref moved, ``LedgerError/tooLarge(environment:bytes:)``
    ///   when the entry does not fit although its texts were cut; then nothing was recorded.
    package func append(
        _ draft: EntryDraft,
        after tip: RecordedEntry?,
        edits: consuming some Collection<(key: String, value: FileContent?)>,
        key: LedgerKey
    ) throws -> RecordedEntry {
        var writer = ObjectWriter(repository)
        var entry = draft.entry(environment: environment, after: tip)
        entry.bound()
        var blobs = try write(edits, &writer)
        var changesFile: ObjectID?
        // What has many changes is never made into one JSON value.
        var bytes = entry.changes.count > Entry.maxChanges ? [] : entry.bytes
        if bytes.isEmpty || bytes.count > Entry.maxBytes {
            let lines = entry.moveChangesElsewhere()
            changesFile = try writer.write(lines, .blob)
            bytes = entry.bytes
        }
        guard bytes.count <= Entry.maxBytes else {
            throw LedgerError.tooLarge(environment: environment, bytes: bytes.count)
        }
        blobs.append(FileEdit(path: "changes.jsonl", blob: changesFile))
        blobs.append(FileEdit(path: "entry.json", blob: try writer.write(bytes, .blob)))
        guard let tree = try writer.tree(tip?.tree, consume blobs) else {
            preconditionFailure("a tree with entry.json is not empty")
        }
        let parents = tip.map { [$0.commit] + (draft.parent.map { [$0] } ?? []) } ?? []
        let digest = SHA256.hex(of: bytes)
        let payload = LedgerCommit.payload(entry, entrySHA256: digest, tree: tree, parents: parents)
        let commit = try writer.write(LedgerCommit.signed(payload, signature: key.sign(payload)), .commit)
        try ObjectSync.sync(writer, objects: repository.commonDirectory + "objects")
        try move(from: tip?.commit, to: commit, entry)
        try HighWater(sequence: entry.sequence, commit: commit).write(files.highWater(environment))
        return RecordedEntry(
            commit: commit,
            tree: tree,
            parents: parents,
            entry: entry,
            sha256: digest,
            root: try repository.tree(tree),
            signer: key.publicKey
        )
    }

    /// Writes files, many of them as one pack.
    private func write(
        _ edits: consuming some Collection<(key: String, value: FileContent?)>,
        _ writer: inout ObjectWriter
    ) throws -> [FileEdit] {
        guard edits.count > ObjectWriter.fewObjects else {
            return try edits.map { path, content in
                FileEdit(path: path, blob: try content.map { try writer.write(try $0.read(), .blob) })
            }
        }
        let files = Array(edits)
        writer.note(files.count)
        return try PackWriter(repository: repository, environment: environment).write(files)
    }

    private func move(from expected: ObjectID?, to commit: ObjectID, _ entry: Entry) throws {
        do {
            try RefMove(repository: repository, environment: environment)
                .run(from: expected, to: commit, message: LedgerCommit.subject(of: entry), time: entry.time)
        } catch {
            // A failed sync can come after the move: what the ref says now decides.
            let now = try repository.reference(ref)
            if now == commit { return }
            if now != expected { throw LedgerError.lostRace(environment: environment) }
            throw error
        }
    }
}

extension Entry {
    /// Leaves only the changes' number and digest in the entry.
    ///
    /// - Returns: The bytes of `changes.jsonl`.
    fileprivate mutating func moveChangesElsewhere() -> [UInt8] {
        var lines: [UInt8] = []
        for (index, change) in changes.enumerated() {
            // By what the first hundred take: an array that doubles itself holds everything twice while it does.
            if index == 100 { lines.reserveCapacity(lines.count / 98 * changes.count) }
            change.json.appendCanonical(to: &lines)
            lines.append(0x0A)
        }
        changesElsewhere = ChangesFile(total: Int64(changes.count), sha256: SHA256.hex(of: lines))
        changes = []
        return lines
    }
}

/// An entry as it is in the repository.
package struct RecordedEntry: Sendable {
    package var commit: ObjectID
    package var tree: ObjectID
    package var parents: [ObjectID]
    package var entry: Entry
    /// The SHA-256 of `entry.json`.
    package var sha256: String
    /// The top of its tree.
    package var root: [TreeEntry]
    package var signer: SSHPublicKey

    /// The newest accepted source commit; nil at genesis.
    package var acceptedSource: ObjectID? { parents.count == 2 ? parents[1] : nil }

    /// The id of a folder at the top of the tree.
    package func folder(_ name: String) -> ObjectID? {
        root.first { $0.name.elementsEqual(name.utf8) && $0.mode == .directory }?.id
    }

    /// The file of that name at the top of its tree; nil when there is none.
    package func file(_ name: String) -> TreeEntry? {
        root.first { $0.name.elementsEqual(name.utf8) && $0.mode == .file }
    }

    /// The top of its tree without the entry itself: the recorded state.
    package var state: LazyFilterSequence<[TreeEntry]> {
        root.lazy.filter { !$0.isNamed("entry.json") && !$0.isNamed(Self.changesFile) }
    }

    /// Whether it has a file of changes.
    package var hasChangesFile: Bool { root.contains { $0.isNamed(Self.changesFile) } }

    private static let changesFile = "changes.jsonl"

    package var agents: Int64 { entry.counts["agents"] ?? 0 }
}

extension TreeEntry {
    fileprivate func isNamed(_ text: String) -> Bool { name.elementsEqual(text.utf8) }
}

/// An entry before it has its place in the chain.
package struct EntryDraft: Sendable {
    /// The newest, but where an entry of an older version of Ensign is made for a test.
    package var format = Entry.Format.current
    package var kind: Entry.Kind
    package var source: Entry.Source?
    /// The second parent: the newest accepted source commit.
    package var parent: ObjectID?
    package var actor: Entry.Actor
    package var time: Timestamp
    package var reason: Entry.Reason
    package var changes: [Change]
    /// How many agents are live after the entry.
    package var agents: Int64
    package var result: Entry.Result
    package var error: String?
    package var keys: [String]?
    /// Counts besides those of the changes.
    package var counts: [String: Int64] = [:]

    package init(
        kind: Entry.Kind,
        source: Entry.Source?,
        parent: ObjectID?,
        actor: Entry.Actor,
        time: Timestamp,
        reason: Entry.Reason,
        changes: [Change],
        agents: Int64,
        result: Entry.Result,
        error: String? = nil,
        keys: [String]? = nil
    ) {
        self.kind = kind
        self.source = source
        self.parent = parent
        self.actor = actor
        self.time = time
        self.reason = reason
        self.changes = changes
        self.agents = agents
        self.result = result
        self.error = error
        self.keys = keys
    }

    fileprivate func entry(environment: String, after tip: RecordedEntry?) -> Entry {
        var counts = changes.reduce(into: self.counts) { $0[$1.action.rawValue, default: 0] += 1 }
        counts["agents"] = agents
        return Entry(
            format: format,
            sequence: tip.map { $0.entry.sequence + 1 } ?? 0,
            kind: kind,
            environment: environment,
            previous: tip.map { Entry.Previous(commit: $0.commit, sha256: $0.sha256) },
            source: source,
            actor: actor,
            time: time,
            reason: reason,
            changes: changes,
            counts: counts,
            result: result,
            error: error,
            keys: keys
        )
    }
}
