import Glibc

/// State that threads change and wait for.
///
/// Waiting ends by a clock that nobody sets (`CLOCK_MONOTONIC`). Never held while something else is waited for.
@safe
package final class Condition<State>: @unchecked Sendable {
    // The state is only touched with the mutex held; the C values have one address for the object's life.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state: State

    package init(_ state: State) {
        self.state = state
        unsafe pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(changed, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(changed)
        unsafe pthread_mutex_destroy(mutex)
        unsafe changed.deallocate()
        unsafe mutex.deallocate()
    }

    /// Reads or changes the state; nobody who waits is woken.
    package func withLock<Value, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Changes the state, and lets everybody who waits look at it again.
    package func update<Value, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer {
            unsafe pthread_mutex_unlock(mutex)
            unsafe pthread_cond_broadcast(changed)
        }
        return try body(&state)
    }

    /// Changes the state, and lets one of those who wait look at it again: for changes that only one can use.
    package func updateForOne<Value, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        unsafe pthread_mutex_lock(mutex)
        defer {
            unsafe pthread_mutex_unlock(mutex)
            unsafe pthread_cond_signal(changed)
        }
        return try body(&state)
    }

    /// Waits until the state gives a value.
    ///
    /// - Parameters:
    ///   - deadline: Nil waits without end.
    ///   - take: Asked at once, and again after each ``update(_:)``. Must not block.
    /// - Returns: Nil when the time was over first.
    package func wait<Value>(until deadline: ContinuousClock.Instant?, _ take: (inout State) -> Value?) -> Value? {
        // ContinuousClock counts time asleep, CLOCK_MONOTONIC does not: the wait is computed anew from what is left.
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let value = take(&state) { return value }
            guard let deadline else {
                unsafe pthread_cond_wait(changed, mutex)
                continue
            }
            let left = deadline - .now
            guard left > .zero else { return nil }
            var moment = timespec()
            unsafe clock_gettime(CLOCK_MONOTONIC, &moment)
            let (seconds, attoseconds) = min(left, .seconds(86_400)).components
            moment.tv_sec += Int(seconds)
            moment.tv_nsec += Int(attoseconds / 1_000_000_000)
            if moment.tv_nsec >= 1_000_000_000 {
                moment.tv_sec += 1
                moment.tv_nsec -= 1_000_000_000
            }
            _ = unsafe pthread_cond_timedwait(changed, mutex, &moment)
        }
    }
}
