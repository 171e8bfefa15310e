package import EnsignModel

extension Bundle {
    /// Whether it is the same version with the same content, whatever its bytes.
    func saysTheSame(as compiled: CompiledBundle) -> Bool {
        version == compiled.bundle.version && compiled.identity.isArtifact(of: self)
            && BundleDifference(before: self, after: compiled.bundle).isEmpty
    }
}

extension CompiledBundle {
    /// What it is recognised by, with the quarantined bundles that say the same.
    package func identity(_ state: AgentState, _ recorded: (Digest) throws -> Bundle?) throws -> VersionIdentity {
        var identity = identity
        for quarantine in state.quarantine where quarantine.version == bundle.version {
            guard case .digest(let marked) = quarantine.mark, marked != digest else { continue }
            // Of one that is no longer kept nobody can tell: it holds.
            let isSame = try recorded(marked).map { $0.saysTheSame(as: self) } ?? (formerArtifact != nil)
            if isSame { identity.formerDigests.insert(marked) }
        }
        return identity
    }
}
