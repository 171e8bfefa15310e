import EnsignModel

extension TrustedKey {
    /// Who is trusted now and was not, and the other way round.
    static func differences(_ old: [TrustedKey], _ new: [TrustedKey]) -> [GuardDifference] {
        let (before, after) = (old.byKey, new.byKey)
        return Set(before.keys).union(after.keys).sorted().flatMap { key -> [GuardDifference] in
            let (was, now) = (before[key] ?? [], after[key] ?? [])
            let gained = now.filter { line in !was.contains { $0.trusts(line) } }
            let lost = was.filter { line in !now.contains { $0.trusts(line) } }
            if gained.isEmpty {
                return lost.map { line in
                    let rest = now.first.map { "is trusted \($0.terms) alone (was \(line.terms))" }
                    return GuardDifference(
                        "trust",
                        .tightened,
                        "the key \(line.name) \(rest ?? "is not trusted any more")"
                    )
                }
            }
            let terms = was.first { !now.contains($0) }.map { " (was \($0.terms))" } ?? ""
            return gained.map { line in
                GuardDifference("trust", .loosened, "the key \(line.name) is trusted now, \(line.terms)\(terms)")
            }
        }
    }

    /// Whether this line trusts all that the other one does.
    private func trusts(_ other: TrustedKey) -> Bool {
        fingerprint == other.fingerprint && principals == other.principals && isAuthority == other.isAuthority
            && (namespaces == nil || namespaces == other.namespaces)
            && (validAfter ?? .min) <= (other.validAfter ?? .min)
            && (validBefore ?? .max) >= (other.validBefore ?? .max)
    }

    private var name: String { "\(fingerprint) of \(String(principals.prefix(200)))" }

    /// For what and when, in words.
    private var terms: String {
        var words = isAuthority ? ["for certificates"] : []
        words.append("for \(namespaces ?? "everything")")
        if let validAfter { words.append("from \(Timestamp(seconds: validAfter))") }
        if let validBefore { words.append("until \(Timestamp(seconds: validBefore))") }
        return words.joined(separator: " ")
    }
}

extension [TrustedKey] {
    fileprivate var byKey: [String: [TrustedKey]] { Dictionary(grouping: self, by: \.fingerprint) }
}
