import Glibc
import Synchronization

/// A program that runs beside this process until one of the two ends: with nothing to read, and writing where this process
/// writes its errors.
///
/// It leads a process group: a terminal's Ctrl-C reaches it through this process alone, which ends it in order.
package final class RunningProgram: Sendable {
    private let child: pid_t
    private let ended = Mutex<Int32?>(nil)

    /// Starts it.
    ///
    /// - Parameter program: A path, or a name that PATH leads to.
    package init(_ program: String, _ arguments: [String]) throws(SystemError) {
        let nothing = try FileDescriptor("/dev/null", O_RDONLY, operation: "open /dev/null")
        child = try Subprocess(program, arguments).start(nothing.number, 2, 2, ownGroup: true, ownSession: false)
    }

    deinit { end() }

    /// The exit status, or 128 and the number of the signal that ended it; nil while it runs.
    package var status: Int32? {
        ended.withLock { known in
            if known == nil {
                var status: Int32 = 0
                if unsafe waitpid(child, &status, WNOHANG) == child {
                    known = status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F
                }
            }
            return known
        }
    }

    /// Sends it a signal; nothing once it has ended.
    package func send(_ signal: Int32) {
        // Its number is its own until its status was taken.
        guard status == nil else { return }
        kill(child, signal)
    }

    /// Asks it to end, and ends what is left of its group after so long. Again does nothing.
    package func end(patience: Duration = .seconds(10)) {
        send(SIGTERM)
        let deadline = ContinuousClock.now + patience
        while status == nil, ContinuousClock.now < deadline { usleep(5_000) }
        guard status == nil else { return }
        kill(-child, SIGKILL)
        while status == nil { usleep(5_000) }
    }
}
