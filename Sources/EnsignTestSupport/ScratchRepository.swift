package import EnsignGit
package import EnsignModel
import Foundation

/// A test's own bare git repository, made and written without a process.
///
/// One thread at a time, as ``Repository`` is.
package final class ScratchRepository {
    package let scratch: ScratchDirectory
    package let repository: Repository
    /// The newest commit of `main`.
    package private(set) var head: ObjectID?
    private var isGone = false

    package static let branch = "refs/heads/main"

    /// - Parameter configuration: Lines of git's configuration besides those that every repository has.
    package init(configuration: String = "") throws {
        scratch = try ScratchDirectory()
        for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
            try FileManager.default.createDirectory(
                atPath: "\(scratch.path)/\(folder)",
                withIntermediateDirectories: true
            )
        }
        try scratch.write("HEAD", "ref: \(Self.branch)\n")
        try scratch.write("config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\(configuration)")
        repository = try Repository(at: scratch.path)
    }

    package var path: String { scratch.path }

    /// Another handle on the same repository, as another process has one.
    package func another() throws -> Repository { try Repository(at: scratch.path) }

    /// Commits changes to `main`: by path the new text, or nil to remove a file.
    ///
    /// - Parameter seconds: When, since 1970.
    @discardableResult
    package func commit(
        _ edits: [String: String?],
        message: String = "Change",
        at seconds: Int64 = 1_800_000_000
    ) throws -> ObjectID {
        var writer = ObjectWriter(repository)
        var blobs: [String: ObjectID?] = [:]
        for (path, text) in edits { blobs[path] = .some(try text.map { try writer.write(Array($0.utf8), .blob) }) }
        let base = try head.map { try repository.commit($0).tree }
        let tree = try writer.tree(base, edits: blobs) ?? writer.write([], .tree)
        let parent = head.map { "parent \($0)\n" } ?? ""
        let person = "Ada <ada@example.com> \(seconds) +0000"
        let text = "tree \(tree)\n\(parent)author \(person)\ncommitter \(person)\n\n\(message)\n"
        let commit = try writer.write(Array(text.utf8), .commit)
        try repository.move(Self.branch, from: isGone ? nil : head, to: commit, message: message)
        (head, isGone) = (commit, false)
        return commit
    }

    /// Removes the branch, as a person might; the next commit brings it back.
    package func removeBranch() throws {
        try FileManager.default.removeItem(atPath: "\(scratch.path)/\(Self.branch)")
        isGone = true
    }

    /// Puts a file that names no commit in the branch's place.
    package func spoilBranch() throws { try scratch.write(Self.branch, "") }
}
