/// What one conversation with a server may cost altogether: nothing that a server does makes it longer.
package struct MCPBudget: Sendable {
    package let deadline: ContinuousClock.Instant
    /// The whole time, for messages.
    package let time: Duration
    /// How many bytes it may still say.
    package private(set) var bytes: Int
    /// How many messages it may still send.
    package private(set) var messages: Int
    /// The most bytes of one message.
    package let message: Int

    /// - Parameters:
    ///   - bytes: The most bytes of all that it says.
    ///   - messages: The most messages, requests and notifications of its own included.
    package init(
        time: Duration = .seconds(60),
        bytes: Int = 64 << 20,
        messages: Int = 10_000,
        message: Int = 16 << 20
    ) {
        deadline = .now + time
        self.time = time
        self.bytes = bytes
        self.messages = messages
        self.message = message
    }

    /// Takes note of one message.
    package mutating func took(_ count: Int) throws(MCPError) {
        bytes -= count
        messages -= 1
        guard bytes >= 0, messages >= 0 else {
            throw MCPError(.limit, "the server says more than is read for one import")
        }
    }

    package var isOver: Bool { ContinuousClock.now >= deadline }

    /// The error for a deadline that has passed.
    package func timedOut(_ what: String) -> MCPError {
        MCPError(.limit, "the server did not answer '\(what)' within \(time / .seconds(1)) seconds")
    }
}
