import EnsignGit
package import EnsignHost
package import EnsignLedger
package import EnsignModel

/// The newest commit that a reconcile has accepted.
///
/// The ledger names the newest one that changed something; one that changes nothing live writes no entry, and may have
/// changed what guards agents all the same. A commit that is refused later is compared with this one. Once the ledger
/// has accepted another commit than it had by then, it knows better.
struct AcceptedCommit: Hashable {
    /// The commit that the ledger had accepted by then.
    var recorded: ObjectID
    var commit: ObjectID
}

extension AcceptedCommit: StateValue {
    static let kind = StateKind(
        "state/<env>/accepted",
        .memory,
        limit: 1_024,
        isDurable: true,
        formerly: "accepted/<env>"
    )

    init?(_ contents: StateContents) {
        self.init(recorded: contents["recorded"]?.string, commit: contents["commit"]?.string)
    }

    /// Of 0.1.0: two lines.
    init?(former bytes: [UInt8]) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        guard lines.count == 2 else { return nil }
        self.init(recorded: lines[0], commit: lines[1])
    }

    private init?(recorded: String?, commit: String?) {
        guard let recorded = recorded.flatMap({ ObjectID($0) }), let commit = commit.flatMap({ ObjectID($0) }) else {
            return nil
        }
        self.init(recorded: recorded, commit: commit)
    }

    var contents: StateContents {
        StateContents(["recorded": .string(recorded.description), "commit": .string(commit.description)])
    }
}

extension Site {
    /// The commit whose rules are in force; nil before anything was accepted, and where it is no longer here.
    package func acceptedCommit(_ environment: String, tip: RecordedEntry?) throws -> ObjectID? {
        guard let recorded = tip?.acceptedSource else { return nil }
        // A file that cannot be read says nothing: the ledger does.
        if let known = StateFile<AcceptedCommit>(files, environment).known(), known.recorded == recorded,
            repository.contains(known.commit)
        {
            return known.commit
        }
        return repository.contains(recorded) ? recorded : nil
    }

    /// Remembers what was accepted, durably, when that is another commit than before.
    func accept(_ commit: ObjectID, _ environment: String, tip: RecordedEntry) throws {
        guard let recorded = tip.acceptedSource else { return }
        let accepted = AcceptedCommit(recorded: recorded, commit: commit)
        let file = StateFile<AcceptedCommit>(files, environment)
        if try file.read() != accepted { try file.write(accepted) }
    }
}
