package import EnsignModel

/// The one canonical form of a ledger commit's bytes. docs/formats/ledger.md, "The commit".
///
/// Git accepts many malformed commits: a second `tree` header, a NUL in the message, bytes after the signature's end.
/// So reading is not lenient: it extracts the tree and the signature, rewrites the commit from those and `entry.json`,
/// and compares the bytes.
package enum LedgerCommit {
    /// The namespace of git's own SSH signatures.
    package static let namespace = "git"

    /// The bytes that are signed: the commit without its `gpgsig` header.
    package static func payload(_ entry: Entry, entrySHA256: String, tree: ObjectID, parents: [ObjectID]) -> [UInt8] {
        var text = "tree \(tree)\n"
        for parent in parents { text += "parent \(parent)\n" }
        let identity = "Ensign \(entry.environment) <\(entry.environment)@ensign.invalid> \(entry.time.seconds) +0000"
        text += "author \(identity)\ncommitter \(identity)\n"
        return Array(text.utf8) + message(entry, entrySHA256)
    }

    /// The parts that reading extracts from a commit; the rest is rewritten and compared.
    struct Parts {
        var tree: ObjectID
        var parents: [ObjectID]
        /// In its armor, unfolded.
        var signature: [UInt8]
    }

    /// Finds the parts where the canonical form has them; nil when they are not there.
    static func parts(_ bytes: [UInt8]) -> Parts? {
        unsafe bytes.withUnsafeBufferPointer { bytes -> Parts? in
            var index = 0
            /// The rest of the line that begins with `name`.
            func line(_ name: StaticString) -> UnsafeBufferPointer<UInt8>? {
                let start = index + name.utf8CodeUnitCount
                guard start < bytes.count,
                    unsafe bytes[index..<start].elementsEqual(
                        UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
                    ),
                    let end = unsafe bytes[start...].firstIndex(of: 0x0A)
                else { return nil }
                index = end + 1
                return unsafe UnsafeBufferPointer(rebasing: bytes[start..<end])
            }
            guard let tree = unsafe line("tree ").flatMap({ unsafe ObjectID(digits: $0) }) else { return nil }
            var parents: [ObjectID] = []
            while let parent = unsafe line("parent ") {
                guard parents.count < 2, let id = unsafe ObjectID(digits: parent) else { return nil }
                parents.append(id)
            }
            guard unsafe line("author ") != nil, unsafe line("committer ") != nil, let first = unsafe line("gpgsig ")
            else { return nil }
            var signature = unsafe Array(first)
            while let next = unsafe line(" ") {
                signature.append(0x0A)
                unsafe signature.append(contentsOf: next)
            }
            return Parts(tree: tree, parents: parents, signature: signature)
        }
    }

    /// The commit's bytes with the signature where git puts it: after the committer.
    package static func signed(_ payload: [UInt8], signature: String) -> [UInt8] {
        guard let end = headerEnd(payload) else { preconditionFailure("a payload has headers and a message") }
        var bytes = Array(payload[..<end])
        bytes.append(contentsOf: "gpgsig ".utf8)
        let lines = signature.utf8.split(separator: 0x0A, omittingEmptySubsequences: true)
        for (index, line) in lines.enumerated() {
            if index > 0 { bytes.append(0x20) }
            bytes.append(contentsOf: line)
            bytes.append(0x0A)
        }
        bytes.append(contentsOf: payload[end...])
        return bytes
    }

    /// The index of the empty line between headers and message.
    private static func headerEnd(_ bytes: [UInt8]) -> Int? {
        var index = 0
        while index + 1 < bytes.count {
            if bytes[index] == 0x0A, bytes[index + 1] == 0x0A { return index + 1 }
            index += 1
        }
        return nil
    }

    private static func message(_ entry: Entry, _ entrySHA256: String) -> [UInt8] {
        var text = "\n\(subject(of: entry))\n\nEnsign-Seq: \(entry.sequence)\n"
        if let source = entry.source { text += "Ensign-Source: \(source.commit)\n" }
        text += "Ensign-Entry-SHA256: \(entrySHA256)\n"
        return Array(text.utf8)
    }

    /// The entry in one line for people: `prod: support/refund-triage 1.4.0 -> 1.5.0`.
    package static func subject(of entry: Entry) -> String {
        let prefix = "\(entry.environment): "
        let what: String
        switch entry.kind {
        case .genesis: what = "genesis"
        case .key: what = "signing keys changed"
        case .refused: what = "refused \(entry.source.map { $0.commit.short } ?? "")"
        case .drift where entry.reason == Entry.Reason(.behaviour): what = "drift, \(behaviour(entry))"
        case .drift: what = "drift, \(files(entry))"
        case .halt, .resume, .intent, .outcome, .recovery: what = changes(entry)
        }
        switch entry.kind {
        case .intent, .resume: return prefix + "intent, " + what
        case .recovery: return prefix + "recovery, " + what
        case .outcome where entry.result != .ok: return prefix + "\(entry.result.rawValue), " + what
        default: return prefix + what
        }
    }

    private static func files(_ entry: Entry) -> String {
        let count = entry.changesElsewhere?.total ?? Int64(entry.changes.count)
        return counted(count, "file")
    }

    /// `behaviour of support/refund-triage 1.4.0`.
    private static func behaviour(_ entry: Entry) -> String {
        let agents = Set(entry.changes.map(\.agent))
        if entry.changesElsewhere == nil, agents.count == 1, let change = entry.changes.first {
            return ChangeSentence(change).driftSubject
        }
        let total = entry.changesElsewhere?.total ?? Int64(entry.changes.count)
        return "behaviour, \(counted(total, "metric"))"
    }

    private static func changes(_ entry: Entry) -> String {
        let total = entry.changesElsewhere?.total ?? Int64(entry.changes.count)
        let quarantine = total == 2 ? quarantine(entry.changes) : nil
        guard total == 1 || quarantine != nil, let change = entry.changes.first else {
            let counts = entry.counts.filter { $0.key != "agents" && $0.key != "expired" && $0.value > 0 }.sorted {
                $0.key < $1.key
            }
            let parts = counts.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
            return "\(total) changes\(parts.isEmpty ? "" : ": \(parts)")"
        }
        return ChangeSentence(change).subject + (quarantine ?? "")
    }

    /// The addition when the second change quarantines the version that the first one leaves; nil when it does not.
    private static func quarantine(_ changes: [Change]) -> String? {
        guard changes.count == 2, changes[0].action == .rollback, changes[1].action == .quarantine,
            changes[0].agent == changes[1].agent, let left = changes[1].from, left == changes[0].from
        else { return nil }
        let name = left.version == changes[0].to?.version ? left.digest.short : left.version.description
        return ", \(name) quarantined"
    }
}
