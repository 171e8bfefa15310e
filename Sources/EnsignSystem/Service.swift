import Synchronization

/// What a service does.
package protocol ServiceWork {
    /// Does the work that is due now. Always on the service's own thread, one turn after another.
    ///
    /// A long turn checks ``Service/isStopped``.
    ///
    /// - Returns: When the next turn comes.
    mutating func turn() -> Service.Next

    /// Called once, after the last turn.
    mutating func end()
}

extension ServiceWork {
    package mutating func end() {}
}

/// The life of a background task on its own thread, until it is stopped.
///
/// Whoever starts it must stop it and then join it. Waking it is safe from any thread, at any time.
package final class Service: Sendable {
    /// When a service has its next turn.
    package enum Next: Sendable, Hashable {
        case atOnce
        /// After this long, or as soon as somebody wakes it.
        case after(Duration)
        /// After this long, even if somebody wakes it meanwhile: what others do does not repair the failure.
        case notBefore(Duration)
        /// Never: there is nothing to do.
        case never
    }

    /// Why a wait has ended. Neither is true when the time was over.
    package struct Awakening: Sendable, Hashable {
        /// Whether somebody woke the service, or stopped it.
        package var isWoken: Bool
        /// The descriptors that are readable.
        package var readable: Set<Int32>
    }

    private let wakeup: Wakeup
    private let stopping = Flag()
    private let thread = Mutex<Thread?>(nil)

    /// - Throws: ``SystemError`` when the process has no file handles left.
    package init() throws(SystemError) {
        wakeup = try Wakeup()
    }

    /// Starts the thread. At most once.
    ///
    /// - Parameter make: Makes the work, on the service's own thread.
    /// - Throws: ``SystemError`` when the system has no room for a thread.
    package func start(_ make: @escaping @Sendable () -> any ServiceWork) throws(SystemError) {
        let started = try Thread { [self] in
            var work = make()
            run(&work)
            work.end()
        }
        thread.withLock { $0 = started }
    }

    private func run(_ work: inout any ServiceWork) {
        while !isStopped {
            switch work.turn() {
            case .atOnce: continue
            case .after(let time): _ = wait(atMost: time)
            case .notBefore(let time):
                let end = ContinuousClock.now + time
                while !isStopped, ContinuousClock.now < end { _ = wait(atMost: end - ContinuousClock.now) }
            case .never: return
            }
        }
    }

    package var isStopped: Bool { stopping.isSet }

    /// Gives it a turn as soon as possible.
    package func wake() { wakeup.wake() }

    /// Asks it to end after its current turn.
    package func stop() {
        stopping.set()
        wakeup.wake()
    }

    /// Waits until it has ended. Returns at once when it was never started.
    package func join() {
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
    }

    /// Waits, within a turn, until somebody wakes the service, one of the descriptors is readable, or the time is over. Ends
    /// at once when the service is stopped.
    package func wait(for descriptors: [Int32] = [], atMost time: Duration) -> Awakening {
        let ready = Wakeup.wait(for: [wakeup.readEnd] + descriptors, atMost: time)
        let isWoken = ready.contains(wakeup.readEnd)
        if isWoken {
            wakeup.clear()
            // The next wait must see it too.
            if isStopped { wakeup.wake() }
        }
        return Awakening(isWoken: isWoken, readable: ready.subtracting([wakeup.readEnd]))
    }
}
