/// Why the live directory cannot be used now. One sentence for the operator, printable; a model never sees it.
package struct LiveTrouble: Error, Sendable, Hashable, CustomStringConvertible {
    package var message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}
