import CSodium

/// The one-time start of libsodium.
enum Sodium {
    /// Set once `sodium_init` has picked its implementations and opened the system's randomness.
    private static let started: Void = {
        // It fails only where the system has no source of randomness: nothing here may go on without one.
        precondition(sodium_init() >= 0, "libsodium could not be initialised")
    }()

    /// Starts libsodium unless that has happened. Cheap to repeat, safe from any thread.
    static func start() { _ = started }
}
