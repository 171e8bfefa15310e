/// A bundle with its bytes and digest, as one deployment asks for it.
package struct CompiledBundle: Sendable, Hashable {
    @Boxed package var bundle: Bundle
    package var bytes: [UInt8]
    package var digest: Digest
    /// Git's own stop: the agent gets no route.
    package var halted: Bool
    /// The artifact as Ensign 0.1.0 had it; nil where it is the same, and for what was not compiled from git.
    package var formerArtifact: Digest?

    package init(bundle: Bundle, bytes: [UInt8], digest: Digest, halted: Bool, formerArtifact: Digest? = nil) {
        self.bundle = bundle
        self.bytes = bytes
        self.digest = digest
        self.halted = halted
        self.formerArtifact = formerArtifact
    }

    package var side: Change.Side { Change.Side(version: bundle.version, digest: digest) }
}
