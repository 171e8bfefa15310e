package import EnsignModel

/// What the gateway first saw of definitions that no manifest pins. Safe from any number of threads and processes.
package protocol PinBook: Sendable {
    /// - Returns: The digest that was kept for an operation: what is given, when nothing was kept before.
    func pinned(tool: String, operation: String, seen: Digest) throws(RecordFailure) -> Digest
}
