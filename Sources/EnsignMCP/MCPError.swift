import EnsignModel

/// Why a server of the Model Context Protocol could not be asked.
package struct MCPError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// It cannot be started or reached.
        case unreachable
        /// It took longer, or said more, than it may.
        case limit
        /// What it says is not the protocol.
        case malformed
        /// It answered with an error.
        case refused(Int64)
        /// It ended before it answered.
        case ended
    }

    package let code: Code
    /// One sentence without a full stop, printable.
    package let message: String
    /// What the program said on standard error, printable; empty where nothing was.
    package var said: String

    package init(_ code: Code, _ message: String, said: String = "") {
        self.code = code
        self.message = message.onOneLine(utf8: 400)
        self.said = said.onItsLines
    }

    package var description: String { message }
}
