import CGit2

/// Line differences of two texts, as libgit2 finds them.
package enum TextDiff {
    /// A unified diff without file headers, three lines of context; empty when the texts are equal.
    package static func unified(_ old: String, _ new: String) throws(GitError) -> String {
        guard old != new else { return "" }
        _ = git_libgit2_init()
        var options = unsafe git_diff_options()
        _ = unsafe git_diff_options_init(&options, UInt32(GIT_DIFF_OPTIONS_VERSION))
        unsafe options.flags = GIT_DIFF_FORCE_TEXT.rawValue
        let (before, after) = (Array(old.utf8), Array(new.utf8))
        // The patch keeps pointers into both texts: it must not outlive them.
        let text = try unsafe before.withUnsafeBytes { left in
            unsafe after.withUnsafeBytes { right in
                Result { () throws(GitError) in try unsafe patch(left, right, &options) }
            }
        }.get()
        guard let hunk = text.range(of: "@@", afterNewline: true) else { return "" }
        return String(text[hunk...])
    }

    private static func patch(
        _ left: UnsafeRawBufferPointer,
        _ right: UnsafeRawBufferPointer,
        _ options: inout git_diff_options
    ) throws(GitError) -> String {
        var patch: OpaquePointer?
        try check("compare two texts") {
            unsafe git_patch_from_buffers(
                &patch,
                left.baseAddress,
                left.count,
                nil,
                right.baseAddress,
                right.count,
                nil,
                &options
            )
        }
        defer { unsafe git_patch_free(patch) }
        var buffer = unsafe git_buf()
        try check("compare two texts") { unsafe git_patch_to_buf(&buffer, patch) }
        defer { unsafe git_buf_dispose(&buffer) }
        guard let start = unsafe buffer.ptr else { return "" }
        return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: buffer.size), as: UTF8.self)
    }
}

extension String {
    /// The index at which the first line that starts with `prefix` begins.
    fileprivate func range(of prefix: String, afterNewline: Bool) -> Index? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(prefix) { return start }
            guard let newline = self[start...].firstIndex(of: "\n") else { return nil }
            start = index(after: newline)
        }
        return nil
    }
}
