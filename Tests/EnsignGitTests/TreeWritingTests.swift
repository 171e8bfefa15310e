import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignGit

@Suite("Writing trees")
struct TreeWritingTests {
    /// Names whose order as bytes is not the order of the folders that they name.
    private static let names = ["a", "a-b", "a.b", "a0", "ab", "b", "\u{e9}"]

    @Test(
        "Edits one after the other give the tree that all files give at once, and stock git finds nothing wrong with it"
    )
    func edits() throws {
        var random = SeededGenerator(for: "writing trees", standard: 11)
        let scratch = try ScratchRepository()
        var files: [String: ObjectID] = [:]
        var tree: ObjectID?
        for round in 0..<40 {
            var edits: [String: ObjectID?] = [:]
            for _ in 0..<random.int(1...12) {
                let path = (0...random.int(0...2)).map { _ in Self.names[random.int(0...Self.names.count - 1)] }
                    .joined(separator: "/")
                // A file cannot be where a folder is.
                let isTaken = (Array(files.keys) + edits.keys).contains {
                    $0.hasPrefix(path + "/") || path.hasPrefix($0 + "/")
                }
                guard !isTaken else { continue }
                let isRemoval = files[path] != nil && random.int(0...2) == 0
                edits[path] = .some(isRemoval ? nil : try scratch.repository.write(Array("\(round)".utf8), .blob))
            }
            for (path, blob) in edits { files[path] = blob }
            var (writer, again) = (ObjectWriter(scratch.repository), ObjectWriter(scratch.repository))
            tree = try writer.tree(tree, edits: edits)
            #expect(try again.tree(nil, edits: files.mapValues { .some($0) }) == tree, "seed \(random.seed)")
            guard let tree else { continue }
            let listed = try run("git", ["ls-tree", "-r", "-z", "--name-only", "\(tree)"], in: scratch.path).output
            #expect(Set(listed.split(separator: "\0").map(String.init)) == Set(files.keys), "seed \(random.seed)")
        }
        let check = try run("git", ["fsck", "--strict", "--no-dangling"], in: scratch.path)
        #expect(check.status == 0 && !check.errors.contains("error"), "\(check.errors)")
    }
}
