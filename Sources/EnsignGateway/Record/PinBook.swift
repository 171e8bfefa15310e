package import EnsignModel

/// What the gateway first saw of definitions that no manifest pins. Safe from any number of threads and processes.
package protocol PinBook: Sendable {
    /// - Parameter isOther: Whether a digest is that of another tool which the same server offers.
    /// - Returns: The digest that was kept for a definition: what is given, when nothing was kept before, and whether that was so.
    func pinned(
        _ place: PinPlace,
        seen: Digest,
        isOther: (Digest) -> Bool
    ) throws(RecordFailure) -> (pin: Digest, isNew: Bool)
}

/// Which definition is meant. Two versions of a tool may map an operation to different tools of the server, and a server may
/// offer other ones to somebody else.
package struct PinPlace: Sendable, Hashable {
    package var tool: String
    package var operation: String
    /// The server's own name of the operation.
    package var serverTool: String
    /// Of the credentials that the server is reached with; nil without any.
    package var reference: String?

    package init(tool: String, operation: String, serverTool: String, reference: String?) {
        (self.tool, self.operation, self.serverTool, self.reference) = (tool, operation, serverTool, reference)
    }
}
