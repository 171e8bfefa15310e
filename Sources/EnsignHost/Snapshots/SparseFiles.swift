import EnsignGit
package import EnsignManifest
import EnsignModel
import EnsignSystem

/// What git keeps out of a work tree (git-sparse-checkout(1)), by its index: it is in the next commit, so it is part of the
/// fleet.
package struct SparseFiles: Sendable {
    /// What is in a folder, by the folder's path; `""` is the root.
    private var folders: [String: [SnapshotNode]] = [:]

    /// - Parameter listing: What `git ls-files -s -t -z` writes: `<tag> <mode> <id> <stage> TAB <path> NUL`, again and again.
    package init(listing: [UInt8]) {
        var known: Set<String> = []
        for line in listing.split(separator: 0) {
            // Of a file that git keeps out the tag is S, or s where git does not look whether it has changed.
            guard line.first == UInt8(ascii: "S") || line.first == UInt8(ascii: "s"),
                let tab = line.firstIndex(of: 0x09)
            else { continue }
            let words = line[..<tab].split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
            guard words.count == 4, words[3] == "0", let id = ObjectID(words[2]) else { continue }
            add(line[line.index(after: tab)...], mode: words[1], id, &known)
        }
    }

    private mutating func add(_ path: ArraySlice<UInt8>, mode: String, _ id: ObjectID, _ known: inout Set<String>) {
        var folder = ""
        let parts = path.split(separator: UInt8(ascii: "/"))
        for part in parts.dropLast() {
            let name = String(decoding: part, as: UTF8.self)
            let place = Self.path(folder, name)
            if known.insert(place).inserted {
                folders[folder, default: []].append(SnapshotNode(name: name, kind: .directory))
            }
            folder = place
        }
        guard let last = parts.last else { return }
        let name = String(validating: last, as: UTF8.self)
        let kind: SnapshotNode.Kind =
            switch mode {
            case "100644", "100755": .file
            case "120000": .symlink
            case "160000": .submodule
            default: .other
            }
        folders[folder, default: []].append(
            SnapshotNode(
                name: name ?? String(decoding: last, as: UTF8.self),
                kind: kind,
                id: id,
                isText: name != nil
            )
        )
    }

    private static func path(_ folder: String, _ name: String) -> String { folder.isEmpty ? name : "\(folder)/\(name)" }

    /// What of a folder is kept out. Folders have no `location` yet.
    func children(of folder: String) -> [SnapshotNode] { folders[folder] ?? [] }

    /// Whether a path, or something below it, is kept out.
    package func contains(_ path: String) -> Bool {
        if folders[path] != nil { return true }
        let parts = path.split(separator: "/")
        let folder = parts.dropLast().joined(separator: "/")
        return children(of: folder).contains { $0.name.elementsEqual(parts.last ?? "") }
    }
}

extension Site {
    /// What git keeps out of the work tree; nil where that is not set, or there is none.
    package func sparseFiles() throws -> SparseFiles? {
        guard let root = repository.workTree, try configuration.bool("core.sparsecheckout") == true else { return nil }
        // Git itself: libgit2 does not read an index that has whole folders as one entry.
        let arguments = ["ls-files", "-s", "-t", "-z", "--full-name", "--"] + Self.places.map { ":/\($0)" }
        let limit = 1 << 28
        let outcome = try Git.run(["--work-tree", root] + arguments, in: self, outputLimit: limit)
        guard outcome.status == 0, outcome.output.count < limit else {
            let reason = GitComplaint.reason(in: outcome.errorText) ?? "status \(outcome.status)"
            throw Git.CommandFailure(command: "ls-files", status: outcome.status, reason: reason)
        }
        return SparseFiles(listing: outcome.output)
    }

    private static let places = [RepositoryPath.fleet, RepositoryPath.environments]

    /// The fleet of the work tree, with what git keeps out of it; each call opens the repository anew, for another thread.
    ///
    /// - Parameter root: The work tree's.
    package func workTreeSnapshots(_ root: String) throws -> @Sendable () throws -> any Snapshot {
        guard let kept = try sparseFiles() else { return { DirectorySnapshot(path: root) } }
        let opening = repository.opening
        return { SparseSnapshot(path: root, kept: kept, repository: try opening.open()) }
    }
}
