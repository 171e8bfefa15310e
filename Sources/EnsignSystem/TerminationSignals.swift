import Glibc

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

    /// Waits for one of them, and returns its number; nil when the time was over first.
    package static func wait(for time: Duration) -> Int32? {
        var signals = set
        let (seconds, attoseconds) = time.components
        var left = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        let number = unsafe sigtimedwait(&signals, nil, &left)
        return number > 0 ? number : nil
    }

    private static var set: sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for number in [SIGTERM, SIGINT, SIGHUP] { unsafe sigaddset(&signals, number) }
        return signals
    }
}
