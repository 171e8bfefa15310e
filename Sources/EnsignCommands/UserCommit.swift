import EnsignCommandLine
import EnsignGit
import EnsignHost
import EnsignModel
import EnsignReconciler
import EnsignSystem

/// Commits in the user's name, made without touching the work tree or the index.
struct UserCommit {
    let site: Site

    /// Writes a commit that sets some files on top of `parent`; nil removes one.
    ///
    /// Stock git makes it, so that the user's identity, signing key and settings hold.
    func make(_ files: [String: [UInt8]?], on parent: ObjectID, message: String) throws -> ObjectID {
        var writer = ObjectWriter(site.repository)
        var blobs: [String: ObjectID?] = [:]
        for (path, bytes) in files { blobs[path] = .some(try bytes.map { try writer.write($0, .blob) }) }
        guard let tree = try writer.tree(try site.repository.commit(parent).tree, edits: blobs) else {
            throw Failure(message: "the commit would be empty")
        }
        var arguments = ["commit-tree", tree.description, "-p", parent.description, "-F", "-"]
        // commit-tree is plumbing and ignores commit.gpgSign, which people mean for every commit.
        if try site.configuration.bool("commit.gpgsign") == true { arguments.append("-S") }
        let output: String
        do { output = try Git.check(arguments, in: site, input: message) } catch let failure as Git.CommandFailure {
            guard try Git.run(["var", "GIT_COMMITTER_IDENT"], in: site).status != 0 else { throw failure }
            throw Failure(
                message: failure.description,
                hints: ["git config user.email ADDRESS, and user.name NAME, say who commits"]
            )
        }
        guard let commit = ObjectID(output.prefix(40)) else { throw Failure(message: "git commit-tree gave no commit") }
        return commit
    }

    /// Points a new branch at a commit; a branch that has the same tree already is taken as it is, unless it has been
    /// merged: merging it again would change nothing.
    ///
    /// - Throws: ``Refusal`` when a branch of that name has something else, and when none can have it.
    func branch(_ name: String, at commit: ObjectID) throws -> ObjectID {
        let ref = "refs/heads/\(name)"
        // Git takes the word for itself: what it makes of '@{-1}' is another name.
        let taken = try? Git.check(["check-ref-format", "--branch", name], in: site)
        // With these the branch could be made, and most that names it afterwards would mean something else.
        let isAnother = ["HEAD", "@"].contains(name) || name.hasPrefix("refs/")
        guard !isAnother, taken.map({ $0.split(separator: "\n").first.map(String.init) == name }) == true else {
            throw Refusal(
                message: "\(name.quoted(utf8: 100)) cannot be the name of a branch: git help check-ref-format"
            )
        }
        if let present = try site.repository.reference(ref) {
            if try site.repository.commit(present).tree == site.repository.commit(commit).tree {
                guard try site.repository.isAncestor(present, of: commit) == true else { return present }
                try Git.check(["update-ref", "-m", "ensign", ref, commit.description, present.description], in: site)
                return commit
            }
            throw Refusal(
                message: "there is a branch '\(name)' already, with other changes",
                hints: name == site.settings.branch
                    ? ["name another one: --branch NAME"]
                    : ["delete it: git branch -D \(name)", "or name another one: --branch NAME"]
            )
        }
        try Git.check(["update-ref", "-m", "ensign", ref, commit.description, ObjectID.zero.description], in: site)
        return commit
    }
}
