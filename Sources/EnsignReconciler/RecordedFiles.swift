import EnsignGit
package import EnsignLedger
import EnsignModel
package import EnsignTargets

/// The recorded state as a target is compared with it.
package final class RecordedFiles: ExpectedFiles {
    /// What the newest entry says should be live.
    package static func at(_ tip: RecordedEntry, _ ledger: Ledger) throws -> RecordedFiles {
        RecordedFiles(
            tree: RecordedTree(repository: ledger.repository, tip: tip),
            header: try ledger.publishing(tip).header
        )
    }

    private let tree: RecordedTree
    private let header: [UInt8]

    init(tree: RecordedTree, header: [UInt8]) {
        self.tree = tree
        self.header = header
    }

    package func children(of folder: String) throws -> [String: ExpectedNode]? {
        guard !folder.isEmpty else {
            var top: [String: ExpectedNode] = [LivePath.header: .header]
            for name in [LivePath.agents, LivePath.bundles] where try tree.children(of: name) != nil {
                top[name] = .folder
            }
            return top
        }
        return try tree.children(of: folder)?.mapValues { $0.mode == .directory ? .folder : .file($0.id) }
    }

    package func bytes(of node: ExpectedNode) throws -> [UInt8] {
        switch node {
        case .folder: []
        case .header: header
        case .file(let id): try tree.bytes(TreeEntry(name: [], mode: .file, id: id))
        }
    }

    package func matches(_ bytes: [UInt8], _ node: ExpectedNode) -> Bool {
        switch node {
        case .folder: false
        case .header: bytes == header
        case .file(let id): Repository.objectID(of: bytes, .blob) == id
        }
    }
}
