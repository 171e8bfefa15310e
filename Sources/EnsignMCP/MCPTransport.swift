package import EnsignModel

/// A way to a server.
///
/// Used by one thread. After an error it is not used again.
package protocol MCPTransport: AnyObject {
    /// Sends a message, and hands over what comes until the reader has enough.
    ///
    /// - Parameters:
    ///   - method: What the message asks for, for headers and errors.
    ///   - version: The version of the protocol that has been agreed on; nil before that.
    ///   - patience: How long to wait at most; less than what the budget has left.
    ///   - take: Takes one message; returns true when no more is wanted. Nil sends only.
    /// - Returns: false if the patience ended first.
    func exchange(
        _ message: JSONValue,
        method: String,
        version: String?,
        patience: Duration?,
        budget: inout MCPBudget,
        take: ((JSONValue) throws(MCPError) -> Bool)?
    ) throws(MCPError) -> Bool

    /// Whether requests of the server's own can be answered while an answer is awaited.
    var takesAnswers: Bool { get }

    /// Ends it. What was started is ended too.
    func finish()

    /// What the program said on standard error, if there is one.
    var said: String { get }
}
