import EnsignModel

extension TrustedKey {
    /// Keys that are newly trusted, and those that no longer are.
    static func differences(_ old: [TrustedKey], _ new: [TrustedKey]) -> [GuardDifference] {
        let (before, after) = (old.byKey, new.byKey)
        return Set(before.keys).union(after.keys).sorted().flatMap { key -> [GuardDifference] in
            let (was, now) = (before[key] ?? [], after[key] ?? [])
            let (gained, lost) = (now.beyond(was), was.beyond(now))
            if gained.isEmpty {
                return lost.map { line in
                    let rest = now.first.map { "is trusted \($0.terms) alone (was \(line.terms))" }
                    return GuardDifference(
                        "trust",
                        .tightened,
                        "the key \(line.name) \(rest ?? "is no longer trusted")"
                    )
                }
            }
            let terms = was.first { !now.contains($0) }.map { " (was \($0.terms))" } ?? ""
            return gained.map { line in
                GuardDifference("trust", .loosened, "the key \(line.name) is trusted now, \(line.terms)\(terms)")
            }
        }
    }

    /// Whether this line trusts everything that the other one does.
    fileprivate func trusts(_ other: TrustedKey) -> Bool {
        fingerprint == other.fingerprint && principals.hasSameUTF8(as: other.principals)
            && isAuthority == other.isAuthority && (namespaces == nil || namespaces.hasSameUTF8(as: other.namespaces))
            && (validAfter ?? .min) <= (other.validAfter ?? .min)
            && (validBefore ?? .max) >= (other.validBefore ?? .max)
    }

    private var name: String { "\(fingerprint) of \(principals.cut(utf8: 200))" }

    /// The namespaces and times for which it is trusted, in words.
    private var terms: String {
        var words = isAuthority ? ["for certificates"] : []
        words.append("for \(namespaces?.cut(utf8: 200) ?? "everything but approvals")")
        if let validAfter { words.append("from \(Timestamp(seconds: validAfter))") }
        if let validBefore { words.append("until \(Timestamp(seconds: validBefore))") }
        return words.joined(separator: " ")
    }
}

extension [TrustedKey] {
    /// The lines that none of the others covers. For a key with unreasonably many lines, every new line counts.
    fileprivate func beyond(_ others: [TrustedKey]) -> [TrustedKey] {
        let known = Set(others)
        let new = filter { !known.contains($0) }
        guard new.count * others.count < 1_000_000 else { return new }
        return new.filter { line in !others.contains { $0.trusts(line) } }
    }

    fileprivate var byKey: [String: [TrustedKey]] { Dictionary(grouping: self, by: \.fingerprint) }
}
