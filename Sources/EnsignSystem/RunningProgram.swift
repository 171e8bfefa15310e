import Glibc
import Synchronization

/// A program that runs beside this process until one of the two ends: with nothing to read, and writing where this process
/// writes its errors.
///
/// Nothing of it outlives this process, by whatever way that ends: see ``KeptProgram``. A terminal's Ctrl-C reaches it
/// through this process alone, which ends it in order. The process must ignore SIGPIPE.
package final class RunningProgram: Sendable {
    private let program: KeptProgram
    private let copier: Thread
    private let ended = Mutex<Int32?>(nil)

    /// Starts it.
    ///
    /// - Parameter program: A path, or a name that PATH leads to.
    package init(_ program: String, _ arguments: [String]) throws(SystemError) {
        guard let path = Files.program(program) else { throw SystemError(code: ENOENT, operation: "run \(program)") }
        var plan = KeptProgram.Plan([path] + arguments, environment: Subprocess.currentEnvironment(), directory: nil)
        plan.passesSignals = true
        let started = try KeptProgram(plan)
        copier = try Thread { Self.copy(started) }
        self.program = started
    }

    deinit { end() }

    /// Writes what a program writes to this process's errors, until it has ended.
    private static func copy(_ program: KeptProgram) {
        var open = [program.output, program.errors]
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while !open.isEmpty {
            var polled = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            if unsafe poll(&polled, nfds_t(polled.count), -1) < 0, errno != EINTR { return }
            for end in polled where end.revents != 0 {
                let count = unsafe read(end.fd, &buffer, buffer.count)
                if count > 0 {
                    say(buffer[..<count])
                } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                    open.removeAll { $0 == end.fd }
                }
            }
        }
    }

    private static func say(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
            guard written > 0 || errno == EINTR else { return }
            rest = rest.dropFirst(max(0, written))
        }
    }

    /// The exit status, or 128 and the number of the signal that ended it; nil while it runs. What it wrote is written then.
    package var status: Int32? {
        ended.withLock { known in
            if known == nil {
                var status: Int32 = 0
                if unsafe waitpid(program.keeper, &status, WNOHANG) == program.keeper {
                    known = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
                    copier.join()
                }
            }
            return known
        }
    }

    /// Sends it SIGHUP or SIGTERM; nothing once it has ended.
    package func send(_ signal: Int32) {
        // The keeper's number is its own until its status was taken.
        guard status == nil else { return }
        kill(program.keeper, signal)
    }

    /// Asks it to end, and ends what is left of it after so long. Again does nothing.
    package func end(patience: Duration = .seconds(10)) {
        send(SIGTERM)
        let deadline = ContinuousClock.now + patience
        while status == nil, ContinuousClock.now < deadline { usleep(5_000) }
        guard status == nil else { return }
        program.release()
        while status == nil { usleep(5_000) }
    }
}
