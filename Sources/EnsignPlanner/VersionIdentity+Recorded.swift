package import EnsignModel

extension Bundle {
    /// Whether it is the same version with the same content, whatever its bytes.
    func saysTheSame(as compiled: CompiledBundle) throws -> Bool {
        guard version == compiled.version, compiled.identity.isArtifact(of: self) else { return false }
        return BundleDifference(before: self, after: try compiled.bundle).isEmpty
    }
}

extension CompiledBundle {
    /// What it is recognised by, with the quarantined bundles that say the same.
    package func identity(_ state: AgentState, _ recorded: (Digest) throws -> Bundle?) throws -> VersionIdentity {
        var identity = identity
        for quarantine in state.quarantine where quarantine.version == version {
            guard case .digest(let marked) = quarantine.mark, marked != digest else { continue }
            // Of one that is no longer kept nobody can tell: it holds.
            let isSame = try recorded(marked).map { try $0.saysTheSame(as: self) } ?? (formerArtifact != nil)
            if isSame { identity.formerDigests.insert(marked) }
        }
        return identity
    }
}
