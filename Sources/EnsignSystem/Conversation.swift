import Glibc

/// Another program to which lines are said and which answers with lines.
///
/// It has a keeper: what it started does not stay behind, in a session of its own or not, however this process ends. For one
/// thread at a time. The process must ignore SIGPIPE, as the program does: a child that has ended is an error here.
package final class Conversation {
    private let program: KeptProgram
    private var pending: [UInt8] = []
    /// Where the search for the next line's end goes on.
    private var searched = 0
    private var hasEnded = false
    private var isInputOpen = true
    private var errorsOpen = true
    /// The end of what it wrote to standard error, at most 8 KiB.
    package private(set) var said: [UInt8] = []

    /// Starts the program.
    ///
    /// - Throws: ``SystemError`` when it cannot be started.
    package init(_ plan: KeptProgram.Plan) throws(SystemError) { program = try KeptProgram(plan) }

    deinit { finish() }

    /// What came of waiting for a line.
    package enum Line: Sendable, Hashable {
        case line([UInt8])
        /// The program has closed its output.
        case end
        case timedOut
        /// A line is longer than is read.
        case tooLong
    }

    /// Says one line.
    ///
    /// - Returns: false when the program does not take it before the deadline, or is gone.
    package func say(_ line: [UInt8], until deadline: ContinuousClock.Instant) -> Bool {
        var rest = (line + [0x0A])[...]
        while !rest.isEmpty {
            guard isInputOpen else { return false }
            let written = unsafe rest.withUnsafeBytes { unsafe write(program.input, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if errno != EINTR, errno != EAGAIN {
                return false
            } else {
                guard wait(for: program.input, POLLOUT, until: deadline) else { return false }
            }
        }
        return true
    }

    /// The next line, without its end.
    ///
    /// - Parameter most: The most bytes of a line.
    package func nextLine(most: Int, until deadline: ContinuousClock.Instant) -> Line {
        while true {
            if let end = pending[searched...].firstIndex(of: 0x0A) {
                let line = Array(pending[..<end])
                pending.removeSubrange(...end)
                searched = 0
                return line.count > most ? .tooLong : .line(line)
            }
            searched = pending.count
            guard pending.count <= most else { return .tooLong }
            if hasEnded { return .end }
            guard wait(for: program.output, POLLIN, until: deadline) else { return .timedOut }
            take()
        }
    }

    /// Closes its input, waits a moment, and ends all that is left: what it started too. May be called more than once.
    package func finish() {
        guard isInputOpen else { return }
        isInputOpen = false
        program.end()
    }

    /// Waits until something can be read or written, and takes what is said on standard error meanwhile.
    private func wait(for number: Int32, _ events: Int32, until deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return false }
            var polls = [
                pollfd(fd: number, events: Int16(events), revents: 0),
                pollfd(fd: errorsOpen ? program.errors : -1, events: Int16(POLLIN), revents: 0),
            ]
            let ready = unsafe poll(&polls, 2, Int32(min(left / .milliseconds(1), 1_000)) + 1)
            if polls[1].revents != 0 { takeErrors() }
            if ready > 0, polls[0].revents != 0 { return true }
        }
    }

    private func take() {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe read(program.output, &chunk, chunk.count)
        if count > 0 { pending += chunk[..<count] }
        if count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) { hasEnded = true }
    }

    private func takeErrors() {
        var chunk = [UInt8](repeating: 0, count: 8_192)
        let count = unsafe read(program.errors, &chunk, chunk.count)
        if count > 0 { said = (said + chunk[..<count]).suffix(8_192) }
        if count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) { errorsOpen = false }
    }
}
