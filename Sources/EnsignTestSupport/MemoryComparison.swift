import EnsignModel
import EnsignTargets

/// Compares what a ``MemoryTarget`` holds with what is recorded.
struct MemoryComparison {
    private let expected: any ExpectedFiles
    /// The names in each folder.
    private let folders: [String: Set<String>]
    private let nodes: [String: MemoryTarget.Node]
    private(set) var drift: [DriftedFile] = []
    private(set) var filesSeen = 0

    init(nodes: [String: MemoryTarget.Node], expected: any ExpectedFiles) {
        self.nodes = nodes
        self.expected = expected
        var folders: [String: Set<String>] = [:]
        for path in nodes.keys {
            var folder = ""
            for name in path.split(separator: "/") {
                folders[folder, default: []].insert(String(name))
                folder = Self.join(folder, String(name))
            }
        }
        self.folders = folders
    }

    mutating func look(into folder: String) throws {
        guard let wanted = try expected.children(of: folder) else { return }
        for name in (folders[folder] ?? []).subtracting(wanted.keys) {
            let path = Self.join(folder, name)
            drift.append(DriftedFile(path: path, found: .added, size: size(path)))
        }
        for (name, node) in wanted {
            let path = Self.join(folder, name)
            switch node {
            case .folder:
                if nodes[path] != nil { drift.append(DriftedFile(path: path, found: .replaced, size: nil)) }
                try look(into: path)
            case .file:
                filesSeen += 1
                if let found = try found(path) {
                    drift.append(DriftedFile(path: path, found: found, size: found == .replaced ? nil : size(path)))
                }
            }
        }
    }

    private func found(_ path: String) throws -> DriftedFile.Found? {
        switch nodes[path] {
        case nil: return folders[path] == nil ? .removed : .replaced
        case .other: return .replaced
        case .hidden: return .mode
        case .file(let bytes):
            if try expected.matches(bytes, at: path) { return nil }
            let wanted = try expected.bytes(at: path)
            return bytes.count < wanted.count && wanted.starts(with: bytes) ? .truncated : .edited
        }
    }

    private func size(_ path: String) -> Int64? {
        switch nodes[path] {
        case .file(let bytes), .hidden(let bytes): Int64(bytes.count)
        case .other, nil: nil
        }
    }

    private static func join(_ folder: String, _ name: String) -> String { folder.isEmpty ? name : "\(folder)/\(name)" }
}
