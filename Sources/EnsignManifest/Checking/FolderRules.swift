import EnsignModel

/// What may be in a folder below `fleet/` and `environments/`, whatever its meaning.
extension Fleet {
    /// The most entries that a folder may have.
    static let maxEntries = 10_000
    /// How deeply folders may be nested where no kind names them.
    private static let maxIgnoredDepth = 32
    /// The most bytes that the files of one version may have together.
    static let maxVersionBytes = 4 << 20

    /// Reports what may not be in a folder and returns the files and folders that may.
    func accepted(_ nodes: [SnapshotNode], in path: String) -> [SnapshotNode] {
        if nodes.count > Self.maxEntries {
            report(
                Finding(
                    code: "too-many",
                    "the folder has \(nodes.count) entries, more than \(Self.maxEntries)",
                    path: path,
                    hint: "split it"
                )
            )
            return []
        }
        let byFolded = Self.byFoldedName(nodes)
        var accepted: [SnapshotNode] = []
        accepted.reserveCapacity(nodes.count)
        for node in nodes {
            let place = "\(path)/\(node.name)"
            if let problem = node.nameProblem {
                report(Finding(code: "invalid-name", problem, path: place.asPlainName, hint: "rename it"))
                continue
            }
            if !byFolded.isEmpty, let other = byFolded[node.name.lowercased()]?.first(where: { $0 != node.name }) {
                report(
                    Finding(
                        code: "case-collision",
                        "'\(node.name)' and '\(other)' differ in case only",
                        path: place,
                        hint: "rename one: a file system that ignores case would hold only one of them"
                    )
                )
            }
            if acceptsKind(of: node, at: place) { accepted.append(node) }
        }
        return accepted
    }

    /// Whether a node is a file or a folder; anything else is reported.
    @discardableResult
    func acceptsKind(of node: SnapshotNode, at path: String) -> Bool {
        switch node.kind {
        case .file, .directory: return true
        case .symlink:
            report(
                Finding(
                    code: "symlink",
                    "symbolic links are not followed",
                    path: path,
                    hint: "put the file itself here"
                )
            )
        case .submodule:
            report(
                Finding(code: "submodule", "submodules are not read", path: path, hint: "put the files themselves here")
            )
        case .other:
            report(
                Finding(
                    code: "file-mode",
                    "the file has a mode that Ensign does not accept",
                    path: path,
                    hint: "make it a plain file"
                )
            )
        }
        return false
    }

    /// Names by their lowercase form; empty when no name has a capital, as is usual.
    private static func byFoldedName(_ nodes: [SnapshotNode]) -> [String: [String]] {
        guard nodes.contains(where: { $0.name.utf8.contains { (0x41...0x5A).contains($0) } }) else { return [:] }
        return Dictionary(grouping: nodes.map(\.name)) { $0.lowercased() }
    }

    /// Reports a file or folder that no kind names.
    func ignored(_ node: SnapshotNode, in path: String, hint: String? = nil) throws {
        if node.kind == .directory { try checkIgnored(node, at: "\(path)/\(node.name)") }
        // .gitkeep and the like are how people keep folders in git.
        guard !node.name.hasPrefix(".git") else { return }
        report(
            Finding(
                .warning,
                code: "ignored-file",
                "no kind of manifest belongs here: it is ignored",
                path: "\(path)/\(node.name)",
                hint: hint
            )
        )
    }

    /// Refuses what may not be anywhere, in a folder that is otherwise ignored: a checkout follows links there too.
    private func checkIgnored(_ folder: SnapshotNode, at path: String) throws {
        var open = [(node: folder, path: path, depth: 0)]
        var count = 0
        while let (node, path, depth) = open.popLast() {
            guard depth < Self.maxIgnoredDepth, count <= Self.maxEntries else {
                report(
                    Finding(
                        code: count > Self.maxEntries ? "too-many" : "too-deep",
                        count > Self.maxEntries
                            ? "the folders that no kind names have more than \(Self.maxEntries) entries"
                            : "more than \(Self.maxIgnoredDepth) folders inside each other",
                        path: path,
                        hint: "keep this elsewhere"
                    )
                )
                return
            }
            let children = try snapshot.children(of: node)
            count += children.count
            for child in accepted(children, in: path) where child.kind == .directory {
                open.append((child, "\(path)/\(child.name)", depth + 1))
            }
        }
    }
}

extension SnapshotNode {
    /// Why a name is not allowed in a fleet; nil when it is.
    fileprivate var nameProblem: String? {
        guard isText else { return "the name is not UTF-8" }
        guard !isTooLong else { return "the name is longer than \(Self.maxName) bytes" }
        var isPlain = true
        for byte in name.utf8 where byte < 0x20 || byte >= 0x7F { isPlain = false }
        guard isPlain else { return "the name has characters other than printable ASCII" }
        if name.contains("/") || name.contains("\\") { return "the name has a '/' or a '\\'" }
        if name.isEmpty || name == "." || name == ".." { return "the name is not the name of a file" }
        if name.hasPrefix("-") { return "the name starts with '-'" }
        if name.lowercased() == ".git" { return "the name is git's own" }
        return nil
    }
}
