import CGit2
package import EnsignModel
import Glibc
import Synchronization

/// `core.fsync` of libgit2 is one switch for the whole process: it is on only while a reference moves.
private let durability = Mutex(())

extension Repository {
    /// What a reference points to, symbolic ones followed.
    ///
    /// - Returns: nil only when there is no such reference, as where the name is none that git allows; an unreadable one
    ///   throws.
    package func reference(_ name: String) throws(GitError) -> ObjectID? {
        var oid = git_oid()
        try checkFile(of: name)
        do {
            try check("read \(name)") { unsafe git_reference_name_to_id(&oid, handle, name) }
            return ObjectID(oid)
        } catch  where error.isNotFound || error.isBadName {
            return nil
        }
    }

    /// libgit2 opens whatever is at a reference's path, and waits for ever for somebody to write into a pipe.
    private func checkFile(of name: String) throws(GitError) {
        var info = stat()
        guard name.hasPrefix("refs/"), unsafe stat(commonDirectory + name, &info) == 0 else { return }
        let kind = info.st_mode & S_IFMT
        guard kind != S_IFREG, kind != S_IFDIR else { return }
        throw GitError(code: -1, operation: "read \(name)", message: "its file is a pipe, a socket or a device")
    }

    /// The name of the reference that moves when git writes to `name`: the end of a chain of symbolic references.
    ///
    /// - Returns: `name` itself when it is not symbolic, or when there is nothing there; nil when the chain does not
    ///   end within twice the length that git follows (refs.c, `SYMREF_MAXDEPTH`).
    package func finalName(of name: String) throws(GitError) -> String? {
        var name = name
        for _ in 0..<10 {
            guard let target = try symbolicTarget(of: name) else { return name }
            name = target
        }
        return nil
    }

    private func symbolicTarget(of name: String) throws(GitError) -> String? {
        if let target = linkTarget(of: name) { return target }
        var reference: OpaquePointer?
        do {
            try check("read \(name)") { unsafe git_reference_lookup(&reference, handle, name) }
        } catch  where error.isNotFound {
            return nil
        }
        defer { unsafe git_reference_free(reference) }
        return unsafe git_reference_symbolic_target(reference).map { unsafe String(cString: $0) }
    }

    /// The oldest form of a symbolic reference, which git still follows and libgit2 does not know: a symbolic link whose
    /// text is a reference's name (refs/files-backend.c, `files_read_raw_ref`).
    private func linkTarget(of name: String) -> String? {
        var text = [CChar](repeating: 0, count: 1_024)
        let count = unsafe readlink(commonDirectory + name, &text, text.count)
        guard count > 0 else { return nil }
        let target = String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return target.hasPrefix("refs/") ? target : nil
    }

    /// The reference that `HEAD` names, such as `refs/heads/main`, whether or not it exists; nil when detached.
    package func headReference() throws(GitError) -> String? {
        var reference: OpaquePointer?
        try check("read HEAD") { unsafe git_reference_lookup(&reference, handle, "HEAD") }
        defer { unsafe git_reference_free(reference) }
        return unsafe git_reference_symbolic_target(reference).map { unsafe String(cString: $0) }
    }

    /// Names and targets of all references that match a glob such as `refs/ensign/ledger/*`, sorted by name.
    package func references(matching glob: String) throws(GitError) -> [(name: String, id: ObjectID)] {
        var result: [(name: String, id: ObjectID)] = []
        for name in try referenceNames(matching: glob) {
            if let id = try reference(name) { result.append((name, id)) }
        }
        return result
    }

    /// Names of all references that match a glob, sorted; also of those that cannot be read.
    package func referenceNames(matching glob: String) throws(GitError) -> [String] {
        var iterator: OpaquePointer?
        try check("list \(glob)") { unsafe git_reference_iterator_glob_new(&iterator, handle, glob) }
        defer { unsafe git_reference_iterator_free(iterator) }
        var names: [String] = []
        var name: UnsafePointer<CChar>?
        while unsafe git_reference_next_name(&name, iterator) == 0, let name = unsafe name {
            names.append(unsafe String(cString: name))
        }
        return names.sorted()
    }

    /// Moves a reference durably from `expected` to `id`: the file and its folder are synced before this returns.
    ///
    /// - Parameter expected: What it must point to now; nil when it must not exist.
    /// - Throws: ``GitError``, also when it points elsewhere. After any error read the reference again: a failed
    ///   sync can come after the move.
    package func move(_ name: String, from expected: ObjectID?, to id: ObjectID, message: String) throws(GitError) {
        var current = (expected ?? .zero).oid
        var target = id.oid
        var reference: OpaquePointer?
        try durability.withLock { _ throws(GitError) in
            _ = cgit2_set_fsync_gitdir(1)
            defer { _ = cgit2_set_fsync_gitdir(0) }
            _ = try check("move \(name)") {
                unsafe git_reference_create_matching(&reference, handle, name, &target, 1, &current, message)
            }
        }
        unsafe git_reference_free(reference)
        share(name)
        share("logs/\(name)")
    }

    /// The commit that a revision names, such as `main`, `HEAD~2` or an abbreviated id; tags are peeled.
    ///
    /// - Throws: ``GitError``; `isNotFound` when there is no such revision.
    package func commit(named revision: String) throws(GitError) -> ObjectID {
        var object: OpaquePointer?
        try check("find the revision '\(revision)'") { unsafe git_revparse_single(&object, handle, revision) }
        defer { unsafe git_object_free(object) }
        var commit: OpaquePointer?
        try check("find a commit at '\(revision)'") { unsafe git_object_peel(&commit, object, GIT_OBJECT_COMMIT) }
        defer { unsafe git_object_free(commit) }
        guard let oid = unsafe git_object_id(commit) else {
            preconditionFailure("libgit2 gave an object without an id")
        }
        return ObjectID(unsafe oid.pointee)
    }
}
