import EnsignMCP
import EnsignModel
import EnsignPolicy
import Synchronization

/// The pins of a server's tools, each worked out once for as long as its definition is the same.
final class KnownPins: Sendable {
    private let known = Mutex<[String: (tool: ServerListing.Tool, pin: Digest)]>([:])

    func pin(of tool: ServerListing.Tool) -> Digest {
        if let (same, pin) = known.withLock({ $0[tool.name] }), same == tool { return pin }
        let pin = ToolPin.digest(name: tool.name, input: tool.input, output: tool.output)
        known.withLock { known in
            if known.count >= ServerListing.mostTools { known = [:] }
            known[tool.name] = (tool, pin)
        }
        return pin
    }
}
