package import EnsignModel

/// Proves files once: those whose bytes have not changed since are known. Checking a signature takes some 60 µs, comparing
/// bytes less than one.
package struct ProvenFiles: Sendable {
    package let environment: String
    package let keys: LiveKeys
    private var known: [LiveProof.File: (bytes: [UInt8], proven: LiveProof.Proven)] = [:]

    package init(environment: String, keys: LiveKeys) {
        self.environment = environment
        self.keys = keys
    }

    /// What ``LiveProof/verify(_:as:of:keys:)`` says of a file.
    package mutating func verify(_ bytes: [UInt8], as file: LiveProof.File) -> Result<
        LiveProof.Proven, LiveProof.Refusal
    > {
        if let known = known[file], known.bytes == bytes { return .success(known.proven) }
        let result = LiveProof.verify(bytes, as: file, of: environment, keys: keys)
        if case .success(let proven) = result { known[file] = (bytes, proven) }
        return result
    }

    /// What ``RouteReading/read(_:of:in:keys:)`` says of a route.
    package mutating func route(_ bytes: [UInt8], of agent: AgentID) -> Result<RouteReading, LiveProof.Refusal> {
        RouteReading.of(verify(bytes, as: .route(agent)), bytes)
    }
}
