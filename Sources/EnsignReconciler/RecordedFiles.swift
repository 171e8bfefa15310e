import EnsignGit
package import EnsignLedger
import EnsignModel
import EnsignPolicy
package import EnsignTargets

/// The recorded state as a target is compared with it.
package final class RecordedFiles: ExpectedFiles {
    private let tree: RecordedTree
    private let environment: String
    private let header: ExpectedHeader
    private var last: (folder: String, entries: [String: TreeEntry]?)?

    /// What the newest entry says should be live.
    package convenience init(_ tip: RecordedEntry, _ ledger: Ledger) throws {
        try self.init(tip, ledger, allowsBareHeader: !Unsealed(tip, ledger).isEmpty)
    }

    /// - Parameter allowsBareHeader: Whether nothing here was signed yet.
    init(_ tip: RecordedEntry, _ ledger: Ledger, allowsBareHeader: Bool) throws {
        tree = RecordedTree(repository: ledger.repository, tip: tip)
        environment = ledger.environment
        header = ExpectedHeader(try ledger.publishing(tip), tip: tip, allowsBare: allowsBareHeader)
    }

    package func children(of folder: String) throws -> [String: ExpectedNode]? {
        guard !folder.isEmpty else {
            var top: [String: ExpectedNode] = [LivePath.header: .file]
            for name in try folders(in: folder) { top[name] = .folder }
            if try tree.node(LivePath.policy) != nil { top[LivePath.policy] = .file }
            return top
        }
        return try entries(of: folder)?.mapValues { $0.mode == .directory ? .folder : .file }
    }

    package func folders(in folder: String) throws -> [String] {
        guard folder.isEmpty else { return try tree.folders(in: folder) }
        return try [LivePath.agents, LivePath.bundles].filter { try tree.object(of: $0) != nil }
    }

    package func bytes(at path: String) throws -> [UInt8] {
        if path == LivePath.header { return header.bytes }
        return try entry(path).map { try tree.bytes($0) } ?? []
    }

    package func matches(_ bytes: [UInt8], at path: String) throws -> Bool {
        if path == LivePath.header { return header.matches(bytes) }
        guard let entry = try entry(path) else { return false }
        return try entry.id == Repository.objectID(of: bytes, .blob) || isHaltAgain(bytes, path, entry)
    }

    /// Whether a stop was put in place once more, after it was recorded: whoever stops agents waits for nobody, and nobody has
    /// to prove it.
    private func isHaltAgain(_ bytes: [UInt8], _ path: String, _ entry: TreeEntry) throws -> Bool {
        guard let agent = LivePath.agent(atRoute: path), bytes == Route.halted(agent, environment).bytes else {
            return false
        }
        return try Route.isHalted(tree.bytes(entry))
    }

    private func entry(_ path: String) throws -> TreeEntry? {
        if LivePath.isShared(path) { return try tree.node(path) }
        guard let slash = path.lastIndex(of: "/") else { return nil }
        return try entries(of: String(path[..<slash]))?[String(path[path.index(after: slash)...])]
    }

    /// Keeps the last requested folder at hand: a target goes through one after the other.
    private func entries(of folder: String) throws -> [String: TreeEntry]? {
        if let last, last.folder == folder { return last.entries }
        let entries = try tree.children(of: folder)
        last = (folder, entries)
        return entries
    }
}
