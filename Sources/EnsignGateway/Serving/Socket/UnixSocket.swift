import EnsignSystem
import Glibc

/// Sockets of this machine that have a place in its files (unix(7)).
enum UnixSocket {
    /// The longest path of a socket, in bytes: what the kernel's structure holds, without its end.
    static let mostBytes = 107

    /// Listens at a path; accounts of the file's group may connect.
    ///
    /// A socket that nobody listens to any more is replaced, in one step.
    ///
    /// - Throws: ``SystemError`` when another process listens there, or the path is something else than a socket.
    static func listen(_ path: String) throws(SystemError) -> FileDescriptor {
        let operation = "listen on \(path)"
        var info = stat()
        if unsafe lstat(path, &info) == 0, info.st_mode & S_IFMT != S_IFSOCK {
            throw SystemError(code: EEXIST, operation: operation)
        }
        // In the same folder, so that it can be moved; short, since the whole path is bounded.
        let folder = Files.parent(of: path) ?? "."
        // Of two that start at once the second finds the first: nobody takes the place of one that has just been put there.
        let turn = try? OpenFile(FileDescriptor(folder, O_RDONLY | O_DIRECTORY, operation: operation), folder)
        defer { withExtendedLifetime(turn) {} }
        // Not for ever: others may lock the folder for something else.
        let end = ContinuousClock.now + .seconds(5)
        if let number = turn?.descriptor.number {
            while flock(number, LOCK_EX | LOCK_NB) != 0, ContinuousClock.now < end { Machine.pause(milliseconds: 10) }
        }
        if (try? connect(path)) != nil { throw SystemError(code: EADDRINUSE, operation: operation) }
        let temporary = "\(folder)/.\(UInt32.random(in: 0...UInt32.max))"
        let socket = try FileDescriptor.socket(AF_UNIX, operation)
        // Nobody else may connect from the first moment on.
        try check(fchmod(socket.number, 0o600), operation)
        try check(unsafe with(temporary, operation) { unsafe bind(socket.number, $0, $1) }, operation)
        do throws(SystemError) {
            try check(Glibc.listen(socket.number, ListeningSocket.waiting), operation)
            try check(unsafe chmod(temporary, 0o660), operation)
            try Files.rename(temporary, to: path)
        } catch {
            try? Files.remove(temporary)
            throw error
        }
        return socket
    }

    /// Connects to whoever listens at a path.
    static func connect(_ path: String) throws(SystemError) -> FileDescriptor {
        let operation = "connect to \(path)"
        let socket = try FileDescriptor.socket(AF_UNIX, operation)
        try check(unsafe with(path, operation) { unsafe Glibc.connect(socket.number, $0, $1) }, operation)
        return socket
    }

    private static func check(_ status: Int32, _ operation: String) throws(SystemError) {
        if status != 0 { throw SystemError(code: errno, operation: operation) }
    }

    private static func with(
        _ path: String,
        _ operation: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(SystemError) -> Int32 {
        let bytes = Array(path.utf8)
        guard bytes.count <= mostBytes, !bytes.contains(0) else {
            throw SystemError(code: ENAMETOOLONG, operation: operation)
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        return unsafe withUnsafeBytes(of: &address) { buffer in
            guard let base = buffer.baseAddress else { return -1 }
            return unsafe body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
        }
    }
}

/// An open socket that several hold: closed when nobody does any more, so that its number is nobody else's before that.
final class OpenSocket: Sendable {
    private let descriptor: FileDescriptor
    var number: Int32 { descriptor.number }

    init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Ends both directions: whoever reads sees the end.
    func shut() { _ = shutdown(number, Int32(SHUT_RDWR)) }

    /// Says that nothing more will be written.
    func shutWriting() { _ = shutdown(number, Int32(SHUT_WR)) }

    /// How long reading waits at most, in seconds; 0 for ever.
    func setPatience(seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        _ = unsafe setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }
}
