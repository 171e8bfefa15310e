/// What a version of an agent is recognised by, wherever it runs and whichever version of Ensign recorded it.
package struct VersionIdentity: Sendable, Hashable {
    /// Its bundle here.
    package var digest: Digest
    /// The part that does not depend on the environment.
    package var artifact: Digest
    /// The same as Ensign 0.1.0 recorded it: it did not cover `runtime`. Nil where there is none.
    package var formerArtifact: Digest?
    package var runtime: JSONValue
    /// Recorded bundles that say the same, and whose bytes an earlier version of Ensign wrote otherwise.
    package var formerDigests: Set<Digest> = []

    package init(digest: Digest, artifact: Digest, formerArtifact: Digest? = nil, runtime: JSONValue = .null) {
        self.digest = digest
        self.artifact = artifact
        self.formerArtifact = formerArtifact
        self.runtime = runtime
    }

    /// Whether a recorded bundle has this very artifact.
    package func isArtifact(of bundle: Bundle) -> Bool {
        bundle.artifact == artifact || bundle.artifact == formerArtifact && bundle.runtime == runtime
    }

    /// Whether something on record was said of this artifact. A former one stands for each `runtime`, so a quarantine
    /// and a halt may hold more than they were meant for, and never less.
    package func isNamed(by recorded: Digest?) -> Bool {
        recorded.map { $0 == artifact || $0 == formerArtifact } ?? false
    }

    package func isCovered(by quarantine: Quarantine) -> Bool {
        switch quarantine.mark {
        case .artifact(let marked): isNamed(by: marked)
        case .digest(let marked): marked == digest || formerDigests.contains(marked)
        }
    }
}
