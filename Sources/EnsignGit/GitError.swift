import CGit2

/// A libgit2 call that failed: what was attempted, libgit2's code, its message.
package struct GitError: Error, Sendable, CustomStringConvertible {
    /// libgit2's `git_error_code`.
    package var code: Int32
    package var operation: String
    package var message: String

    package init(code: Int32, operation: String, message: String) {
        self.code = code
        self.operation = operation
        self.message = message
    }

    package var description: String { "cannot \(operation): \(message)" }

    /// The thing asked for does not exist.
    package var isNotFound: Bool { code == GIT_ENOTFOUND.rawValue }
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
    let message = unsafe git_error_last().map { unsafe String(cString: $0.pointee.message) }
    git_error_clear()
    throw GitError(code: status, operation: operation(), message: message ?? "libgit2 gave no message")
}
