import EnsignCrypto
import EnsignModel
import EnsignPolicy

@testable import EnsignGit

/// A raw commit, and the signature in it.
func commits(_ bytes: [UInt8]) {
    guard let commit = Commit(bytes) else { return }
    must(commit.signedBytes.count <= bytes.count, "more is signed than is there")
    if let unsigned = Commit(commit.signedBytes) {
        must(unsigned.signature == nil, "what is signed has a signature")
        must(unsigned.tree == commit.tree, "what is signed has another tree")
        must(unsigned.parents == commit.parents, "what is signed has other parents")
    }
    guard let signature = commit.signature, let read = try? SSHSignature(inCommit: signature) else { return }
    _ = read.verdict(on: commit.signedBytes, namespace: "git")
}

/// A tree: each name stands once and is found, and the tree is what its entries make.
func trees(_ bytes: [UInt8]) {
    guard let tree = TreeObject(checking: bytes) else { return }
    let entries = tree.entries
    must(Set(entries.map(\.name)).count == entries.count, "a name stands twice")
    for entry in entries where String(validating: entry.name, as: UTF8.self) != nil {
        let found = tree.entry(named: String(decoding: entry.name, as: UTF8.self))
        must(found?.id == entry.id, "a name leads to another entry")
    }
    TreeObject.compare(tree, tree) { _, _ in fatalError("a tree differs from itself") }
    must((tree.replacing([:])?.bytes ?? []) == bytes, "without edits it becomes another tree")
    // Half of it against all: each entry is named at most once from each side.
    let half = Dictionary(entries.enumerated().filter { $0.offset % 2 == 0 }.map { ($0.element.name, TreeEntry?.none) })
    {
        one,
        _ in one
    }
    var removed = 0
    TreeObject.compare(tree, tree.replacing(half) ?? .empty) { old, new in
        must(old != nil && new == nil, "what was left out is not what differs")
        removed += 1
    }
    must(removed == half.count, "\(half.count) entries were left out, and \(removed) differ")
}

/// An armored signature: what is read strictly is read from a commit as well, and says the same.
func signatures(_ bytes: [UInt8]) {
    let lenient = try? SSHSignature(inCommit: bytes)
    guard let strict = try? SSHSignature(armored: bytes) else { return }
    must(lenient?.publicKey == strict.publicKey, "it is read in a file, and not in a commit")
    _ = strict.verdict(on: bytes, namespace: strict.namespace)
    must(strict.verdict(on: bytes, namespace: strict.namespace + "x") == .wrongNamespace, "a namespace does not count")
}

/// Allowed signers: problems stand in the file, and whatever was read can be asked.
func signers(_ bytes: [UInt8]) {
    let (signers, problems) = AllowedSigners.parse(bytes)
    let lines = bytes.count { $0 == 0x0A } + 1
    for problem in problems {
        must((1...lines).contains(problem.line) && problem.column >= 1, "outside the file: \(problem)")
    }
    must(signers.entries.count + problems.count <= lines, "more than one for each line")
    for entry in signers.entries.prefix(20) {
        for time in [Int64.min, -1, 0, 1_790_000_000, .max] {
            _ = signers.match(entry.key, namespace: "git", at: time)
            if case .signer(let found) = signers.match(entry.key, namespace: "ensign-live", at: time) {
                must(found.key == entry.key, "another key matched")
            }
        }
    }
    _ = LiveKeys.read(bytes)
}
