/// The client of a call that is made by the very thread that reads what the client says: while the call waits for
/// something, somebody must go on reading.
package struct ClientReading: Sendable {
    /// Readable when the client says something, or has gone. Open for as long as the call runs.
    package let descriptor: Int32
    private let pass: @Sendable () -> Void

    /// - Parameter pass: Lets another thread read from now on. Again does nothing.
    package init(_ descriptor: Int32, _ pass: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.pass = pass
    }

    /// Lets another thread read from now on, before something is waited for that cannot be waited for together with the
    /// client. Again does nothing.
    package func passOn() { pass() }
}
