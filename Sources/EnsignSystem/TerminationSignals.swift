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

    private static var set: sigset_t {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for number in [SIGTERM, SIGINT, SIGHUP] { unsafe sigaddset(&signals, number) }
        return signals
    }
}
