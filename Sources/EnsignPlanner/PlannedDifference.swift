package import EnsignModel

/// How an agent's bundle differs: what is sure to be asked for is found at once, and the rest when somebody asks. A first
/// plan creates a hundred thousand agents, of which few are shown.
package enum PlannedDifference: Sendable, Hashable {
    case found(Boxed<BundleDifference>)
    case nothing
    /// A new agent: everything in its bundle.
    case all(of: CompiledBundle)

    package init(_ difference: BundleDifference) { self = .found(Boxed(wrappedValue: difference)) }

    package var kind: Change.Class {
        switch self {
        case .found(let difference): difference.wrappedValue.kind
        case .nothing: .none
        case .all: .widening
        }
    }

    /// From the version before; nil where there is none.
    package var compared: BundleDifference? {
        if case .found(let difference) = self { difference.wrappedValue } else { nil }
    }

    /// - Throws: When the bundle cannot be read from where it is kept.
    package func read() throws -> BundleDifference {
        switch self {
        case .found(let difference): difference.wrappedValue
        case .nothing: BundleDifference()
        case .all(let compiled): BundleDifference(before: nil, after: try compiled.bundle)
        }
    }
}
