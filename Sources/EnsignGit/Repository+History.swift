import CGit2
package import EnsignModel

extension Repository {
    /// Whether `ancestor` is among the ancestors of `commit`, or is `commit` itself.
    ///
    /// - Returns: nil where a shallow clone has not the history that would tell.
    package func isAncestor(_ ancestor: ObjectID, of commit: ObjectID) throws(GitError) -> Bool? {
        if ancestor == commit { return true }
        if isShallow { return presentAncestors(of: commit).contains(ancestor) ? true : nil }
        var (child, parent) = (commit.oid, ancestor.oid)
        return try check("compare the histories of \(commit) and \(ancestor)") {
            unsafe git_graph_descendant_of(handle, &child, &parent)
        } == 1
    }

    /// A commit and its ancestors as far as they are here, the nearest first.
    private func presentAncestors(of commit: ObjectID, except known: Set<ObjectID> = []) -> [ObjectID] {
        var found: [ObjectID] = []
        var seen = known
        var next = [commit]
        while !next.isEmpty {
            let present = next.filter { contains($0) && seen.insert($0).inserted }
            found += present
            next = present.flatMap { (try? self.commit($0).parents) ?? [] }
        }
        return found
    }

    /// Commits reachable from `commit` and not from `known`, newest first, at most `limit`. In a shallow clone, those that
    /// are here.
    package func commits(from commit: ObjectID, notIn known: ObjectID?, limit: Int) throws(GitError) -> [ObjectID] {
        if isShallow {
            let hidden = known.map { Set(presentAncestors(of: $0)) } ?? []
            return Array(presentAncestors(of: commit, except: hidden).prefix(limit))
        }
        var walk: OpaquePointer?
        try check("walk the history of \(commit)") { unsafe git_revwalk_new(&walk, handle) }
        defer { unsafe git_revwalk_free(walk) }
        _ = unsafe git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL.rawValue | GIT_SORT_TIME.rawValue)
        var start = commit.oid
        try check("walk the history of \(commit)") { unsafe git_revwalk_push(walk, &start) }
        if let known {
            var hidden = known.oid
            // A known commit that is gone (a shallow clone, a force-push) hides nothing.
            if unsafe git_revwalk_hide(walk, &hidden) < 0 { git_error_clear() }
        }
        var result: [ObjectID] = []
        var next = git_oid()
        while result.count < limit {
            let status = unsafe git_revwalk_next(&next, walk)
            if status == GIT_ITEROVER.rawValue { break }
            try check("walk the history of \(commit)") { status }
            result.append(ObjectID(next))
        }
        return result
    }
}
