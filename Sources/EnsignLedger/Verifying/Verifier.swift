import EnsignCrypto
import EnsignGit
import EnsignModel
import EnsignSystem
import Synchronization

/// Checks a whole ledger, newest entry first, without a subprocess.
///
/// Every commit against its canonical bytes and signature (``Ledger/read(_:raw:)``), then each pair of neighbours
/// (``NeighbourChecker``). Signers are checked against the keys listed before: a key is valid for a range of entries,
/// not of dates. Long ledgers are cut into parts, one for each core.
package struct Verifier {
    private let ledger: Ledger

    package init(_ ledger: Ledger) {
        self.ledger = ledger
    }

    /// The result of verification. `description` is the verdict in the words that scripts read.
    package enum Verdict: Sendable, Hashable, CustomStringConvertible {
        case intact
        case incomplete(why: String)
        case broken(at: Int64, why: String)
        case rolledBack(why: String)
        case forked(why: String)

        package var description: String {
            switch self {
            case .intact: "intact"
            case .incomplete: "incomplete"
            case .broken(let sequence, _): "broken at \(sequence)"
            case .rolledBack: "rolled back"
            case .forked: "forked"
            }
        }

        /// Why it is not intact.
        package var reason: String? {
            switch self {
            case .intact: nil
            case .incomplete(let why), .broken(_, let why), .rolledBack(let why), .forked(let why): why
            }
        }
    }

    /// A verdict and what was checked.
    package struct Report: Sendable {
        package var verdict: Verdict
        package var entries: Int64
        package var tip: RecordedEntry?
        /// What the verdict should rest on but does not; nil when nothing is missing.
        package var caveat: String?

        package init(verdict: Verdict, entries: Int64, tip: RecordedEntry?) {
            self.verdict = verdict
            self.entries = entries
            self.tip = tip
        }
    }

    /// Something wrong with one entry.
    struct Break: Sendable {
        var sequence: Int64
        var why: String
    }

    /// Verifies from the ref's tip to genesis.
    ///
    /// - Parameter progress: Called with the number of entries done, now and then, on any thread.
    /// - Throws: When the ref itself cannot be read, or the system fails to give what is there.
    package func run(progress: @escaping @Sendable (Int64) -> Void = { _ in }) throws -> Report {
        var report = try verify(progress)
        report.caveat = try caveat(report)
        return report
    }

    /// The mark is all that shows a cut tail: whoever relies on the verdict should know that there is none.
    private func caveat(_ report: Report) throws -> String? {
        let path = ledger.files.highWater(ledger.environment)
        if try HighWater.isDamaged(path) {
            return
                "this clone's high-water mark is damaged, so that a cut tail would not show here; the next entry writes it anew"
        }
        guard report.verdict == .intact, report.tip != nil, try HighWater.read(path) == nil else { return nil }
        // Who signs has written the newest entry, or should have.
        let signs = try Files.status(ledger.files.key(ledger.environment)) != nil
        return signs
            ? "this clone's high-water mark is missing, so that a cut tail would not show here; the next entry writes it anew"
            : "this clone has written no entry and has no high-water mark: a cut tail shows where the ledger is written"
    }

    private func verify(_ progress: @escaping @Sendable (Int64) -> Void) throws -> Report {
        guard let commit = try ledger.newest() else {
            return Report(verdict: try highWater(nil) ?? .intact, entries: 0, tip: nil)
        }
        return try verify(from: commit, progress)
    }

    private func verify(from commit: ObjectID, _ progress: @escaping @Sendable (Int64) -> Void) throws -> Report {
        let tip: RecordedEntry
        do {
            tip = try ledger.read(commit)
        } catch {
            let newest = try HighWater.read(ledger.files.highWater(ledger.environment))?.sequence
            guard let stop = Stop(error, sequence: newest ?? 0) else { throw error }
            // What somebody has put on top says nothing of the entries below.
            guard newest == nil, stop.broken != nil, let below = entry(below: commit) else {
                return Report(verdict: verdict(stop.broken, stop.missing), entries: 0, tip: nil)
            }
            var report = try verify(from: below.commit, progress)
            if let above = Stop(error, sequence: below.entry.sequence + 1), report.verdict == .intact {
                (report.verdict, report.tip) = (verdict(above.broken, above.missing), nil)
            }
            return report
        }
        let chain = try chain(from: commit)
        let newest = tip.entry.sequence
        let count = chain.count < Self.fewEntries ? 1 : min(Parallel.cores, 8)
        let size = (chain.count + count - 1) / count
        let counter = Counter(progress)
        let environment = ledger.environment
        let opening = ledger.repository.opening
        let parts = try Parallel.map(count) { index -> Part in
            // Each thread has its own handle; libgit2's are not shared.
            let repository = try opening.open()
            // Trees are also held against their names: a tree that follows from the entries can be shown with other
            // modes, or without what later entries build on.
            repository.wantsPlainTrees = true
            let ledger = Ledger(repository: repository, environment: environment)
            let range = min(index * size, chain.count)..<min((index + 1) * size, chain.count)
            return Part.verify(ledger, chain, range, newest: newest, counter)
        }
        var broken: Break?
        var missing: String?
        var pending: [(sequence: Int64, signer: SSHPublicKey)] = []
        var entries: Int64 = 0
        func note(_ found: Break) {
            if found.sequence < broken?.sequence ?? .max { broken = found }
        }
        for part in parts {
            entries += part.entries
            if let found = part.broken { note(found) }
            for event in part.events {
                switch event {
                case .signed(let sequence, let signer): pending.append((sequence, signer))
                case .lists(let keys, let sequence):
                    // Everything signed after an entry is checked against the keys that it lists.
                    let allowed = Set(keys)
                    for (number, signer) in pending where number > sequence && !allowed.contains(signer.line) {
                        note(
                            Break(
                                sequence: number,
                                why: "it is signed by \(signer.fingerprint), which was not allowed to sign it"
                            )
                        )
                    }
                    pending.removeAll { $0.sequence > sequence }
                }
            }
            missing = part.missing
            if part.isCut { break }
        }
        if let broken { return Report(verdict: verdict(broken, nil), entries: entries, tip: tip) }
        if missing != nil { return Report(verdict: verdict(nil, missing), entries: entries, tip: tip) }
        return Report(verdict: try highWater(tip) ?? .intact, entries: entries, tip: tip)
    }

    /// Below this a second thread is not worth its handle.
    private static let fewEntries = 32

    /// The commits from the tip along first parents, as far as they can be read: an entry that cannot be read is found
    /// again, and reported, in its turn.
    ///
    /// - Throws: ``GitError`` where the system fails: by its turn it may answer, and would then pass for the first entry.
    private func chain(from tip: ObjectID) throws -> [Link] {
        var chain: [Link] = []
        var next: ObjectID? = tip
        var kept = 0
        while let commit = next {
            // Checked by name: content under another commit's name could lead in a circle.
            let raw = try readable(commit)
            kept += raw?.count ?? 0
            chain.append(Link(commit: commit, raw: kept < Self.maxKept ? raw : nil))
            next = raw.flatMap(Commit.firstParent)
        }
        return chain
    }

    private func readable(_ commit: ObjectID) throws -> [UInt8]? {
        do { return try ledger.repository.bytes(of: commit, .commit) } catch let error as GitError {
            guard !error.isOfSystem else { throw error }
            return nil
        }
    }

    /// The most bytes of commits kept from building the chain until verification; others are read again.
    private static let maxKept = 64 << 20

    /// The newest entry that can be read below a commit that is none; nil where a few hundred of them have none.
    private func entry(below commit: ObjectID) -> RecordedEntry? {
        var commit = commit
        for _ in 0..<256 {
            guard let parent = (try? ledger.repository.commit(commit))?.parents.first else { return nil }
            if let entry = try? ledger.read(parent) { return entry }
            commit = parent
        }
        return nil
    }

    private func verdict(_ broken: Break?, _ missing: String?) -> Verdict {
        if let broken { return .broken(at: broken.sequence, why: broken.why) }
        var advice = ledger.repository.isShallow ? "; this clone is shallow: git fetch --unshallow" : ""
        if ledger.repository.isPartial { advice += "; this clone is partial: clone it again without --filter" }
        return .incomplete(why: (missing ?? "") + advice)
    }

    private func highWater(_ tip: RecordedEntry?) throws -> Verdict? {
        do {
            try ledger.checkHighWater(tip)
            return nil
        } catch let error as LedgerError {
            switch error {
            case .rolledBack, .behind: return .rolledBack(why: error.description)
            case .forked: return .forked(why: error.description)
            case .broken, .lostRace, .tooLarge, .unreadableState, .missingSource, .key: throw error
            }
        }
    }
}

/// Counts entries over all threads.
private final class Counter: Sendable {
    private let count = Atomic<Int64>(0)
    private let progress: @Sendable (Int64) -> Void

    init(_ progress: @escaping @Sendable (Int64) -> Void) {
        self.progress = progress
    }

    func add() {
        let new = count.add(1, ordering: .relaxed).newValue
        if new % 1_000 == 0 { progress(new) }
    }
}

/// One commit of the chain.
private struct Link: Sendable {
    var commit: ObjectID
    /// Its bytes, if they were kept.
    var raw: [UInt8]?
}

/// Why reading an entry ended the walk.
private struct Stop {
    var broken: Verifier.Break?
    var missing: String?

    /// - Parameter sequence: The number that the entry should have: an unreadable one cannot say it itself.
    init?(_ error: any Error, sequence: Int64) {
        switch error {
        case LedgerError.broken(_, let own, let why): broken = Verifier.Break(sequence: own ?? sequence, why: why)
        case LedgerError.missingSource(let commit): missing = "the source commit \(commit) is missing"
        case LedgerError.unreadableState: broken = Verifier.Break(sequence: sequence, why: "\(error)")
        case let error as GitError where error.isNotFound: missing = error.message
        // A disk that does not answer says nothing about what was signed.
        case let error as GitError where error.isOfSystem: missing = error.description
        case let error as GitError: broken = Verifier.Break(sequence: sequence, why: error.description)
        default: return nil
        }
    }
}

/// What one thread found in its part of the chain, newest entry first.
private struct Part: Sendable {
    enum Event: Sendable {
        case signed(Int64, SSHPublicKey)
        /// The keys that may sign entries after that number.
        case lists([String], after: Int64)
    }

    var entries: Int64 = 0
    var events: [Event] = []
    var broken: Verifier.Break?
    var missing: String?
    /// Whether it ended before its part did.
    var isCut = false

    /// Verifies the entries of `range`, and each against the one before it.
    static func verify(
        _ ledger: Ledger,
        _ chain: [Link],
        _ range: Range<Int>,
        newest: Int64,
        _ counter: Counter
    ) -> Part {
        var part = Part()
        var checker = NeighbourChecker(ledger)
        var index = range.lowerBound
        var failing = index
        do {
            guard !range.isEmpty else { return part }
            var entry = try ledger.read(chain[index].commit, raw: chain[index].raw)
            while true {
                counter.add()
                part.entries += 1
                part.events.append(.signed(entry.entry.sequence, entry.signer))
                guard index + 1 < chain.count else {
                    checker.checkGenesis(entry)
                    if let keys = entry.entry.keys { part.events.append(.lists(keys, after: -1)) }
                    break
                }
                failing = index + 1
                let older = try ledger.read(chain[failing].commit, raw: chain[failing].raw)
                failing = index
                try checker.checkPair(older, entry)
                if let keys = older.entry.keys { part.events.append(.lists(keys, after: older.entry.sequence)) }
                index += 1
                guard index < range.upperBound else { break }
                entry = older
            }
        } catch {
            part.isCut = true
            let stop = Stop(error, sequence: newest - Int64(failing))
            if let found = stop?.broken { checker.note(found.sequence, found.why) }
            part.missing = stop?.missing ?? (stop == nil ? "\(error)" : nil)
        }
        part.broken = checker.broken
        return part
    }
}
