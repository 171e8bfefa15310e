import EnsignMCP
import EnsignModel
import EnsignPolicy
import Synchronization

/// The pins of a server's tools, each worked out once for as long as its definition is the same.
final class KnownPins: Sendable {
    /// The list that was read last, and the bundles whose operations are pinned as it says.
    private let taken = Mutex<(listing: ServerListing, bundles: Set<Digest>)?>(nil)
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

    /// Whether all that these bundles grant was pinned as a list says.
    func isTaken(_ listing: ServerListing, for bundles: [Digest]) -> Bool {
        taken.withLock { taken in
            guard let known = taken, known.listing == listing else { return false }
            // Lists are compared by each call: of the same one, that is not its content.
            taken = (listing, known.bundles)
            return known.bundles.isSuperset(of: bundles)
        }
    }

    func take(_ listing: ServerListing, for bundles: [Digest]) {
        taken.withLock { taken in
            var known = taken?.listing == listing ? taken?.bundles ?? [] : []
            if known.count >= Self.mostBundles { known = [] }
            taken = (listing, known.union(bundles))
        }
    }

    private static let mostBundles = 4_096
}
