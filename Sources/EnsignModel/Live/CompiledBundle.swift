/// A bundle with its bytes and their digest.
///
/// What planning always asks for is here. The content may be on a shelf instead of in memory: there may be a hundred
/// thousand of them.
package struct CompiledBundle: Sendable, Hashable {
    package let agent: AgentID
    package let version: AgentVersion
    package let artifact: Digest
    package let delegates: [AgentID]
    package let mode: EnforcementMode
    package let digest: Digest
    /// Git's own stop: the agent gets no route.
    package var halted: Bool
    /// The artifact as Ensign 0.1.0 had it; nil where it is the same, and for what was not compiled from git.
    package var formerArtifact: Digest?
    package let runtime: JSONValue
    /// The models that it may use: the first, then those that it falls back to.
    package let models: [String]
    private var content: Content

    private enum Content: Sendable {
        case here(Boxed<Bundle>, bytes: [UInt8])
        case shelved(any BundleShelf, ShelfPlace)
    }

    package init(bundle: Bundle, bytes: [UInt8], digest: Digest, halted: Bool, formerArtifact: Digest? = nil) {
        (agent, version, artifact) = (bundle.agent, bundle.version, bundle.artifact)
        mode = bundle.mode
        (delegates, runtime, models) = (bundle.delegates, bundle.runtime, bundle.model?.keys ?? [])
        self.digest = digest
        self.halted = halted
        self.formerArtifact = formerArtifact
        content = .here(Boxed(wrappedValue: bundle), bytes: bytes)
    }

    package var bundle: Bundle {
        get throws {
            switch content {
            case .here(let bundle, _): bundle.wrappedValue
            case .shelved(let shelf, let place): try shelf.bundle(at: place)
            }
        }
    }

    package var bytes: [UInt8] { get throws { try file.read() } }

    /// Its file.
    package var file: FileContent {
        switch content {
        case .here(_, let bytes): .bytes(bytes)
        case .shelved(let shelf, let place): .shelved(shelf, place)
        }
    }

    package var side: Change.Side { Change.Side(version: version, digest: digest) }

    package var identity: VersionIdentity {
        VersionIdentity(digest: digest, artifact: artifact, formerArtifact: formerArtifact, runtime: runtime)
    }

    /// The same with its content on a shelf.
    package func shelved(on shelf: any BundleShelf, at place: ShelfPlace) -> CompiledBundle {
        var copy = self
        copy.content = .shelved(shelf, place)
        return copy
    }

    // The digest determines what is in it.
    package static func == (a: CompiledBundle, b: CompiledBundle) -> Bool {
        a.digest == b.digest && a.halted == b.halted && a.formerArtifact == b.formerArtifact
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
