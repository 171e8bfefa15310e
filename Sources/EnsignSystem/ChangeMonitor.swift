import Glibc

/// Watches folders for changes, through inotify(7).
///
/// An account has few monitors (`fs.inotify.max_user_instances`, often 128), and a process may be out of file handles.
/// Then it is blind: it sees nothing, and waiting code polls by the clock instead. Nothing stops without it.
package final class ChangeMonitor {
    /// -1 without a monitor.
    private let descriptor: Int32
    /// Why changes are not seen; nil when all goes well.
    package private(set) var blindness: SystemError?
    private var paths: [Int32: String] = [:]
    private var numbers: [String: Int32] = [:]

    /// Something happened in a folder.
    package struct Event: Sendable, Hashable {
        /// The watched folder.
        package var folder: String
        /// The entry's name; empty for the folder itself.
        package var name: String
        /// Whether the entry is a folder that has just appeared.
        package var isNewFolder: Bool
    }

    package init() {
        do throws(SystemError) {
            descriptor = try attempt("watch for changes") { inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)) }
        } catch {
            (descriptor, blindness) = (-1, error)
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    package var isBlind: Bool { blindness != nil }

    /// For poll(2): readable when events wait; never without a monitor.
    package var number: Int32 { descriptor }

    /// Watches a folder; one that is watched already or does not exist is not an error.
    ///
    /// Renaming or removing a folder is one event and ends its watch: whatever is at its path then, or appears there
    /// later, must be watched again.
    ///
    /// - Returns: Whether it was not watched before.
    /// - Throws: ``SystemError`` with `ENOSPC` when the user's watches are used up.
    @discardableResult
    package func watch(_ folder: String) throws(SystemError) -> Bool {
        guard descriptor >= 0, numbers[folder] == nil else { return false }
        let mask =
            UInt32(IN_CREATE) | UInt32(IN_DELETE) | UInt32(IN_MOVED_TO) | UInt32(IN_MOVED_FROM)
            | UInt32(IN_CLOSE_WRITE) | UInt32(IN_MODIFY) | UInt32(IN_ATTRIB) | UInt32(IN_DELETE_SELF)
            | UInt32(IN_MOVE_SELF) | UInt32(IN_ONLYDIR)
        let number = unsafe inotify_add_watch(descriptor, folder, mask)
        guard number >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return false }
            let error = SystemError(code: errno, operation: "watch \(folder)")
            blindness = error
            throw error
        }
        let isNew = paths[number] != folder
        paths[number] = folder
        numbers[folder] = number
        return isNew
    }

    /// Watches what is at a folder's path now, whatever was there when it was last watched.
    ///
    /// - Returns: Whether it is a different folder.
    @discardableResult
    package func watchAgain(_ folder: String) throws(SystemError) -> Bool {
        numbers[folder] = nil
        let isNew = try watch(folder)
        for (number, path) in paths where path == folder && number != numbers[folder] { forget(number) }
        return isNew
    }

    private func forget(_ number: Int32) {
        _ = inotify_rm_watch(descriptor, number)
        guard let folder = paths.removeValue(forKey: number), numbers[folder] == number else { return }
        numbers[folder] = nil
    }

    /// The events that wait now, or the first of them: an endless stream of events does not block the caller.
    ///
    /// - Returns: nil when the kernel dropped some: then anything may have changed.
    package func events() throws(SystemError) -> [Event]? {
        var events: [Event] = []
        var overflowed = false
        var buffer = [UInt8](repeating: 0, count: 65_536)
        for _ in 0..<64 {
            let count = unsafe read(descriptor, &buffer, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { break }
                throw SystemError(code: errno, operation: "read changes")
            }
            guard count > 0 else { break }
            overflowed = unsafe buffer.withUnsafeBytes { unsafe parse($0, count, &events) } || overflowed
        }
        return overflowed ? nil : events
    }

    /// struct inotify_event: int wd; uint32_t mask, cookie, len; char name[len]. True when events were dropped.
    private func parse(_ bytes: UnsafeRawBufferPointer, _ count: Int, _ events: inout [Event]) -> Bool {
        var overflowed = false
        var offset = 0
        while offset + 16 <= count {
            let watch = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)
            let mask = unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
            let length = Int(unsafe bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
            let end = min(offset + 16 + length, count)
            let name = unsafe bytes[(offset + 16)..<end].prefix { $0 != 0 }
            if mask & UInt32(IN_Q_OVERFLOW) != 0 { overflowed = true }
            if mask & UInt32(IN_IGNORED) != 0 {
                if let folder = paths.removeValue(forKey: watch), numbers[folder] == watch { numbers[folder] = nil }
            } else if let folder = paths[watch] {
                let isNew = mask & UInt32(IN_ISDIR) != 0 && mask & (UInt32(IN_CREATE) | UInt32(IN_MOVED_TO)) != 0
                events.append(
                    Event(folder: folder, name: unsafe String(decoding: name, as: UTF8.self), isNewFolder: isNew)
                )
                if mask & UInt32(IN_MOVE_SELF) != 0 { forget(watch) }
            }
            offset = end
        }
        return overflowed
    }
}

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

/// Signals that ask a long-running command to end.
package enum TerminationSignals {
    /// Blocks SIGTERM, SIGINT and SIGHUP in this thread and those it starts from now on.
    package static func block() {
        var signals = set
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Waits for one of them and returns its number.
    package static func wait() -> Int32 {
        var signals = set
        var number: Int32 = 0
        unsafe sigwait(&signals, &number)
        return number
    }

    private static var set: sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for number in [SIGTERM, SIGINT, SIGHUP] { unsafe sigaddset(&signals, number) }
        return signals
    }
}
