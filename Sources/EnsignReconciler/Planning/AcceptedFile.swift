import EnsignGit
package import EnsignHost
package import EnsignLedger
package import EnsignModel
import EnsignSystem

/// `<git dir>/ensign/accepted/<env>`: the newest commit that a reconcile has accepted.
///
/// The ledger names the newest one that changed something; one that changes nothing live writes no entry, and may have
/// changed what guards agents all the same. What is refused later is held against this one. Two lines: the commit that the
/// ledger had accepted by then, and this one. Once the ledger has accepted another, it knows better.
struct AcceptedFile: Hashable {
    var recorded: ObjectID
    var commit: ObjectID

    static func read(_ path: String) throws -> AcceptedFile? {
        guard let bytes = try Files.readOwn(path, limit: 1_024) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard lines.count == 2, let recorded = ObjectID(lines[0]), let commit = ObjectID(lines[1]) else { return nil }
        return AcceptedFile(recorded: recorded, commit: commit)
    }

    func write(_ path: String) throws {
        if let folder = Files.parent(of: path) { try Files.makeDirectories(folder) }
        try Files.replace(path, with: Array("\(recorded)\n\(commit)\n".utf8))
    }
}

extension Site {
    /// The commit whose rules are in force; nil before anything was accepted, and where it is not here any more.
    package func acceptedCommit(_ environment: String, tip: RecordedEntry?) throws -> ObjectID? {
        guard let recorded = tip?.acceptedSource else { return nil }
        // A file that cannot be read says nothing: the ledger does.
        if let file = try? AcceptedFile.read(files.accepted(environment)), file.recorded == recorded,
            repository.contains(file.commit)
        {
            return file.commit
        }
        return repository.contains(recorded) ? recorded : nil
    }

    /// Remembers what was accepted, durably, when that is another commit than before.
    func accept(_ commit: ObjectID, _ environment: String, tip: RecordedEntry) throws {
        guard let recorded = tip.acceptedSource else { return }
        let file = AcceptedFile(recorded: recorded, commit: commit)
        let path = files.accepted(environment)
        if try AcceptedFile.read(path) != file { try file.write(path) }
    }
}
