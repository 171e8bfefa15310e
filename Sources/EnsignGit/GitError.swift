import CGit2

/// A libgit2 call that failed: what was attempted, libgit2's code, its message.
package struct GitError: Error, Sendable, CustomStringConvertible {
    /// libgit2's `git_error_code`.
    package var code: Int32
    package var operation: String
    package var message: String
    /// Whether the system failed to give what may well be there: a disk's error, no file handle left, no permission.
    package var isOfSystem: Bool

    package init(code: Int32, operation: String, message: String, isOfSystem: Bool = false) {
        self.code = code
        self.operation = operation
        self.message = message
        self.isOfSystem = isOfSystem
    }

    package var description: String { "cannot \(operation): \(message)" }

    /// The thing asked for does not exist.
    package var isNotFound: Bool { code == GIT_ENOTFOUND.rawValue }
    /// The object is there, and is of another kind than was asked for.
    package var isOfAnotherKind: Bool { code == GIT_EPEEL.rawValue }
    /// What was asked for is no revision in git's way of writing, or one that is no commit.
    package var isNoCommit: Bool {
        [GIT_EPEEL, GIT_EINVALIDSPEC, GIT_EAMBIGUOUS].contains { $0.rawValue == code }
    }
    /// The name is none that git allows.
    package var isBadName: Bool { code == GIT_EINVALIDSPEC.rawValue }
    /// Another process holds a lock file.
    package var isLocked: Bool { code == GIT_ELOCKED.rawValue }

    /// Another process holds the lock file of a ref.
    package static func locked(_ ref: String, _ path: String) -> GitError {
        GitError(code: GIT_ELOCKED.rawValue, operation: "move \(ref)", message: "another process holds \(path)")
    }
}

/// Runs one libgit2 call and throws what it reported.
///
/// The message is thread-local: nothing may suspend between the call and this read.
@discardableResult
func check(_ operation: @autoclosure () -> String, _ call: () -> Int32) throws(GitError) -> Int32 {
    let status = call()
    guard status < 0 else { return status }
    let error = unsafe git_error_last().map {
        unsafe (text: String(cString: $0.pointee.message), isOfSystem: $0.pointee.klass == Int32(GIT_ERROR_OS.rawValue))
    }
    git_error_clear()
    throw GitError(
        code: status,
        operation: operation(),
        message: error?.text ?? "libgit2 gave no message",
        isOfSystem: error?.isOfSystem ?? false
    )
}
