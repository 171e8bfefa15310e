import Glibc

/// A pipe that wakes a poll(2) in another thread, once or again and again.
package final class Wakeup: Sendable {
    package let readEnd: Int32
    private let writeEnd: Int32

    package init() throws(SystemError) {
        var ends: [Int32] = [0, 0]
        try attempt("make a pipe") { unsafe pipe(&ends) }
        (readEnd, writeEnd) = (ends[0], ends[1])
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Wakes the waiting thread; safe from any thread.
    package func wake() {
        var byte: UInt8 = 1
        _ = unsafe write(writeEnd, &byte, 1)
    }

    /// Forgets the wakes so far.
    package func clear() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while unsafe read(readEnd, &bytes, bytes.count) > 0 {}
    }

    /// Waits until something is readable or the time is over.
    ///
    /// - Returns: The descriptors that are readable.
    package static func wait(for descriptors: [Int32], atMost time: Duration) -> Set<Int32> {
        var polls = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let milliseconds = max(
            0,
            min(time.components.seconds * 1_000 + time.components.attoseconds / 1_000_000_000_000_000, 3_600_000)
        )
        guard unsafe poll(&polls, UInt(polls.count), Int32(milliseconds)) > 0 else { return [] }
        return Set(polls.filter { $0.revents != 0 }.map(\.fd))
    }
}
