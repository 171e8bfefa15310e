/// A bundle with its bytes and digest, as one deployment asks for it.
package struct CompiledBundle: Sendable, Hashable {
    package var bundle: Bundle
    package var bytes: [UInt8]
    package var digest: Digest
    /// Git's own stop: the agent gets no route.
    package var halted: Bool

    package init(bundle: Bundle, bytes: [UInt8], digest: Digest, halted: Bool) {
        self.bundle = bundle
        self.bytes = bytes
        self.digest = digest
        self.halted = halted
    }

    package var side: Change.Side { Change.Side(version: bundle.version, digest: digest) }
}
