/// A bundle with its bytes and their digest.
///
/// What planning always asks for is at hand. The content may be on a shelf instead of in memory: there may be a hundred
/// thousand of them.
package struct CompiledBundle: Sendable, Hashable {
    @Boxed private var known: Known
    /// Git's own stop: the agent gets no route.
    package var halted: Bool

    private struct Known: Sendable, Hashable {
        var agent: AgentID
        var version: AgentVersion
        var artifact: Digest
        var formerArtifact: Digest?
        var delegates: [AgentID]
        var mode: EnforcementMode
        var runtime: JSONValue
        var models: [String]
        var digest: Digest
        var content: Content

        // The digest determines all the rest.
        static func == (a: Known, b: Known) -> Bool {
            a.digest == b.digest && a.formerArtifact == b.formerArtifact
        }

        func hash(into hasher: inout Hasher) { hasher.combine(digest) }
    }

    private enum Content: Sendable {
        case here(Boxed<Bundle>, bytes: [UInt8])
        case shelved(any BundleShelf, ShelfPlace)
    }

    package init(bundle: Bundle, bytes: [UInt8], digest: Digest, halted: Bool, formerArtifact: Digest? = nil) {
        self.halted = halted
        known = Known(
            agent: bundle.agent,
            version: bundle.version,
            artifact: bundle.artifact,
            formerArtifact: formerArtifact,
            delegates: bundle.delegates,
            mode: bundle.mode,
            runtime: bundle.runtime,
            models: bundle.model?.keys ?? [],
            digest: digest,
            content: .here(Boxed(wrappedValue: bundle), bytes: bytes)
        )
    }

    package var agent: AgentID { known.agent }
    package var version: AgentVersion { known.version }
    package var artifact: Digest { known.artifact }
    /// The artifact as Ensign 0.1.0 had it; nil where it is the same, and for what was not compiled from git.
    package var formerArtifact: Digest? { known.formerArtifact }
    package var delegates: [AgentID] { known.delegates }
    package var mode: EnforcementMode { known.mode }
    package var runtime: JSONValue { known.runtime }
    /// The models that it may use: the first, then those that it falls back to.
    package var models: [String] { known.models }
    package var digest: Digest { known.digest }
    package var side: Change.Side { Change.Side(version: version, digest: digest) }

    package var identity: VersionIdentity {
        VersionIdentity(digest: digest, artifact: artifact, formerArtifact: formerArtifact, runtime: runtime)
    }

    /// - Throws: When it cannot be read from the shelf.
    package var bundle: Bundle {
        get throws {
            switch known.content {
            case .here(let bundle, _): bundle.wrappedValue
            case .shelved(let shelf, let place): try shelf.bundle(at: place)
            }
        }
    }

    /// - Throws: When they cannot be read from the shelf.
    package var bytes: [UInt8] { get throws { try file.read() } }

    /// Its file.
    package var file: FileContent {
        switch known.content {
        case .here(_, let bytes): .bytes(bytes)
        case .shelved(let shelf, let place): .shelved(shelf, place)
        }
    }

    /// The same with its content on a shelf.
    package func shelved(on shelf: any BundleShelf, at place: ShelfPlace) -> CompiledBundle {
        var copy = self
        copy.known.content = .shelved(shelf, place)
        return copy
    }
}
