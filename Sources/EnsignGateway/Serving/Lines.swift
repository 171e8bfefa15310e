import EnsignSystem
import Glibc
import Synchronization

/// Reads lines off a pipe or a socket, without the byte order mark that the first may begin with. For one thread at a time.
struct LineReader: ~Copyable, Sendable {
    /// What came of waiting for a line.
    enum Line: Sendable, Hashable {
        /// Without its end.
        case line([UInt8])
        /// It was longer than is read, and has been passed over.
        case tooLong
        /// There was no room for it, and it has been passed over.
        case noRoom
        case end
    }

    let number: Int32
    private var most: Int
    private var bytes: [UInt8] = []
    private var start = 0
    private var searched = 0
    private var isFirst = true
    /// What a line that is passed over is.
    private var passedOver: Line?
    private var room: AgentRoom?
    /// What was taken of it.
    private var held = 0

    /// The same from here on, with other bounds.
    ///
    /// - Parameter room: Where long lines must find room; nil where there is always some.
    consuming func reading(most: Int, in room: AgentRoom? = nil) -> LineReader {
        self.most = most
        self.room = room
        return self
    }

    /// - Parameters:
    ///   - number: A descriptor that stays open as long as this is used. Blocking.
    ///   - most: The most bytes of a line.
    init(_ number: Int32, most: Int) {
        self.number = number
        self.most = most
    }

    /// Whether there is something that was read already.
    var hasMore: Bool { start < bytes.count }

    /// The next line; blocks until there is one. What is left at the end without an end of line is a line, too.
    mutating func next() -> Line {
        let line = nextAsItIs()
        defer { isFirst = false }
        guard isFirst, case .line(let bytes) = line else { return line }
        return .line(ByteOrderMark.without(bytes))
    }

    private mutating func nextAsItIs() -> Line {
        while true {
            if let end = lineEnd() {
                let line = Array(bytes[start..<end])
                (start, searched) = (end + 1, end + 1)
                if start == bytes.count, line.count > ClientMessage.short { forget() }
                if let passedOver {
                    self.passedOver = nil
                    return passedOver
                }
                return line.count > most ? .tooLong : .line(line)
            }
            searched = bytes.count
            if passedOver == nil { passedOver = refusal() }
            if passedOver != nil { forget() }
            guard fill() else {
                defer { forget() }
                if passedOver != nil { return .end }
                return start < bytes.count ? .line(Array(bytes[start...])) : .end
            }
        }
    }

    /// Why the line that is being read is not read on; nil where it is.
    private mutating func refusal() -> Line? {
        if bytes.count - start > most { return .tooLong }
        let more = bytes.count - ClientMessage.short - held
        guard more > 0, let room else { return nil }
        guard room.take(more) else { return .noRoom }
        held += more
        return nil
    }

    private mutating func forget() {
        bytes = []
        (start, searched) = (0, 0)
        room?.give(held)
        held = 0
    }

    private func lineEnd() -> Int? {
        unsafe bytes.withUnsafeBytes { buffer in
            guard searched < buffer.count, let base = buffer.baseAddress else { return nil }
            guard let found = unsafe memchr(base + searched, 0x0A, buffer.count - searched) else { return nil }
            return unsafe UnsafeRawPointer(found) - base
        }
    }

    private mutating func fill() -> Bool {
        if start == bytes.count, held > 0 {
            forget()
        } else if start == bytes.count {
            bytes.removeAll(keepingCapacity: true)
            (start, searched) = (0, 0)
        } else if start > 65_536 {
            bytes.removeFirst(start)
            searched -= start
            start = 0
        }
        let count = unsafe withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { buffer -> Int in
            while true {
                let count = unsafe read(number, buffer.baseAddress, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count > 0 { unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
                return count
            }
        }
        return count > 0
    }
}

/// Writes lines to a pipe or a socket, whole and one after another, from any thread.
///
/// The process must ignore SIGPIPE.
final class LineWriter: Sendable {
    private let number: Int32
    private let isSocket: Bool
    private let patience: Duration
    private let state = Mutex(State())

    private struct State {
        var isBroken = false
        /// Of a line that did not wait for the reader. It comes before every other one.
        var rest: ArraySlice<UInt8> = []
    }

    /// - Parameters:
    ///   - number: A descriptor that stays open as long as this is used.
    ///   - patience: How long a reader that takes nothing is waited for. Then nothing more is written.
    init(_ number: Int32, patience: Duration = .seconds(30)) {
        self.number = number
        self.patience = patience
        var info = stat()
        isSocket = unsafe fstat(number, &info) == 0 && info.st_mode & S_IFMT == S_IFSOCK
    }

    /// Whether the other side has closed its end, or has taken nothing for too long: looks now.
    var isGone: Bool {
        // Whoever writes just now will find out.
        if state.withLockIfAvailable({ $0.isBroken }) == true { return true }
        var polled = pollfd(fd: number, events: 0, revents: 0)
        return unsafe poll(&polled, 1, 0) > 0 && polled.revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
    }

    /// - Returns: false when the other side is gone, or takes nothing.
    @discardableResult
    func write(_ line: [UInt8]) -> Bool {
        state.withLock { state in
            state.rest += line
            state.rest.append(0x0A)
            push(&state, within: patience)
            if !state.rest.isEmpty { (state.isBroken, state.rest) = (true, []) }
            return !state.isBroken
        }
    }

    /// Writes a line if its reader takes something just now, and nobody else is writing. Waits for nothing: what is left of the
    /// line comes before the next one, or by ``goOn()``.
    ///
    /// - Returns: false where nothing of it was written.
    func offer(_ line: [UInt8]) -> Bool {
        let isTaken = state.withLockIfAvailable { state in
            guard !state.isBroken, state.rest.isEmpty else { return false }
            state.rest = line + [0x0A]
            push(&state, within: .zero)
            guard state.rest.count > line.count else { return true }
            state.rest = []
            return false
        }
        return isTaken ?? false
    }

    /// Writes what its reader takes just now of a line that was offered.
    func goOn() { state.withLockIfAvailable { push(&$0, within: .zero) } }

    /// Writes what the reader takes in time.
    private func push(_ state: inout State, within patience: Duration) {
        while !state.isBroken, !state.rest.isEmpty {
            let written = write(state.rest, within: patience)
            if written > 0 {
                state.rest = state.rest.dropFirst(written)
            } else if written < 0, errno != EINTR {
                if errno != EAGAIN { state.isBroken = true }
                guard errno == EAGAIN, isReady(within: patience) else { return }
            }
        }
        // Its memory, too.
        if state.rest.isEmpty { state.rest = [] }
    }

    /// Writes what there is room for; never blocks without end.
    private func write(_ rest: ArraySlice<UInt8>, within patience: Duration) -> Int {
        // Never more than a pipe takes at once when it is ready (pipe(7), PIPE_BUF).
        guard isSocket || isReady(within: patience) else {
            errno = EAGAIN
            return -1
        }
        return unsafe rest.withUnsafeBytes { rest in
            guard isSocket else { return unsafe Glibc.write(number, rest.baseAddress, min(rest.count, 4_096)) }
            return unsafe send(number, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    }

    private func isReady(within patience: Duration) -> Bool {
        let deadline = ContinuousClock.now + patience
        while true {
            var polled = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            let left = max(deadline - .now, .zero)
            let time = left > .zero ? Int32(min(left / .milliseconds(1), 1_000)) + 1 : 0
            let ready = unsafe poll(&polled, 1, time)
            if ready > 0 { return polled.revents & Int16(POLLOUT) != 0 }
            if left == .zero || (ready < 0 && errno != EINTR) { return false }
        }
    }
}
