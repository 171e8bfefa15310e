import Synchronization

/// A switch that several threads can read.
package final class Flag: Sendable {
    private let value = Mutex(false)
    package init() {}

    package var isSet: Bool { value.withLock { $0 } }
    package func set() { value.withLock { $0 = true } }

    /// Sets it.
    ///
    /// - Returns: Whether it was not set before.
    package func setFirst() -> Bool {
        value.withLock { isSet in
            defer { isSet = true }
            return !isSet
        }
    }
}
