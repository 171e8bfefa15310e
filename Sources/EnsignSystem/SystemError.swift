import Glibc

/// A system call that failed: what was attempted, on what, and the kernel's reason.
package struct SystemError: Error, Sendable, Hashable, CustomStringConvertible {
    package var code: Int32
    package var operation: String

    package init(code: Int32, operation: String) {
        self.code = code
        self.operation = operation
    }

    package var description: String { "cannot \(operation): \(reason)" }

    /// The kernel's reason in words.
    package var reason: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether somebody else holds a lock.
    package var isBusy: Bool { code == EWOULDBLOCK }

    /// Whether this account may not do it.
    package var isDenied: Bool { code == EACCES || code == EPERM }

    package var isMissing: Bool { code == ENOENT || code == ENOTDIR }

    /// Whether the disk, or the share of it that this account may use, is full.
    package var isWithoutRoom: Bool { code == ENOSPC || code == EDQUOT }
}

/// Runs a system call again while signals interrupt it; throws what it reports otherwise.
@discardableResult
func attempt<Value: SignedInteger>(
    _ operation: @autoclosure () -> String,
    _ call: () -> Value
) throws(SystemError) -> Value {
    while true {
        let result = call()
        guard result < 0 else { return result }
        let code = errno
        if code != EINTR { throw SystemError(code: code, operation: operation()) }
    }
}
