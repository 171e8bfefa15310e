import EnsignModel

/// What may stand in a folder below `fleet/` and `environments/`, whatever it means.
extension Fleet {
    /// The most entries that a folder may have.
    static let maxEntries = 10_000
    /// The most bytes that the files of one version may have together.
    static let maxVersionBytes = 4 << 20

    /// Reports what may not stand in a folder and returns the files and folders that may.
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
        var byFolded: [String: String] = [:]
        var accepted: [SnapshotNode] = []
        accepted.reserveCapacity(nodes.count)
        for node in nodes {
            let place = "\(path)/\(node.name)"
            if let problem = node.nameProblem {
                report(Finding(code: "invalid-name", problem, path: place.escapedForDisplay, hint: "rename it"))
                continue
            }
            if node.name.utf8.contains(where: { (0x41...0x5A).contains($0) }) || !byFolded.isEmpty {
                let folded = node.name.lowercased()
                if let other = byFolded[folded]
                    ?? nodes.first(where: { $0.name != node.name && $0.name.lowercased() == folded })?.name
                {
                    report(
                        Finding(
                            code: "case-collision",
                            "'\(node.name)' and '\(other)' differ in case only",
                            path: place,
                            hint: "rename one: a file system that ignores case would hold only one of them"
                        )
                    )
                }
                byFolded[folded] = node.name
            }
            switch node.kind {
            case .file, .directory: accepted.append(node)
            case .symlink:
                report(
                    Finding(
                        code: "symlink",
                        "symbolic links are not followed",
                        path: place,
                        hint: "put the file itself here"
                    )
                )
            case .submodule:
                report(
                    Finding(
                        code: "submodule",
                        "submodules are not read",
                        path: place,
                        hint: "put the files themselves here"
                    )
                )
            case .other:
                report(
                    Finding(
                        code: "file-mode",
                        "the file has a mode that Ensign does not accept",
                        path: place,
                        hint: "make it a plain file"
                    )
                )
            }
        }
        return accepted
    }

    /// Reports a file that no kind names.
    func ignored(_ node: SnapshotNode, in path: String, hint: String? = nil) {
        // .gitkeep and the like are how people keep folders in git.
        guard !node.name.hasPrefix(".git") else { return }
        report(
            Finding(
                .warning,
                code: "ignored-file",
                "no kind of manifest stands here: it is ignored",
                path: "\(path)/\(node.name)",
                hint: hint
            )
        )
    }
}

extension SnapshotNode {
    /// Why a name may not stand in a fleet; nil when it may.
    fileprivate var nameProblem: String? {
        guard isText else { return "the name is not UTF-8" }
        var isPlain = true
        for byte in name.utf8 where byte < 0x20 || byte >= 0x7F || byte == 0x2F || byte == 0x5C { isPlain = false }
        guard isPlain else { return "the name has characters other than printable ASCII" }
        if name.isEmpty || name == "." || name == ".." { return "the name is not the name of a file" }
        if name.hasPrefix("-") { return "the name starts with '-'" }
        if name.lowercased() == ".git" { return "the name is git's own" }
        return nil
    }
}

extension String {
    /// The text with control characters and non-ASCII written as escapes, so that a name cannot write on a terminal.
    package var escapedForDisplay: String {
        var result = ""
        for scalar in unicodeScalars {
            if scalar.value >= 0x20, scalar.value < 0x7F {
                result.unicodeScalars.append(scalar)
            } else {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return result
    }
}
