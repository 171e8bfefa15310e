/// Who may sign: an OpenSSH allowed-signers file (ssh-keygen(1), ALLOWED SIGNERS).
package struct AllowedSigners: Sendable, Hashable {
    /// A line that could not be used.
    package struct Problem: Sendable, Hashable {
        /// The line, counted from 1.
        package let line: Int
        /// The column in that line, counted from 1 in Unicode scalars.
        package let column: Int
        /// What is wrong there, for people.
        package let message: String
    }

    /// One line: a key and who signs with it.
    package struct Entry: Sendable, Hashable {
        /// The line, counted from 1.
        package let line: Int
        /// The identities that sign with the key, usually one email address.
        package let principals: PatternList
        /// Whether the key signs certificates instead of messages.
        package let isCertificateAuthority: Bool
        /// What the key may sign for, as in `git`; nil for anything.
        package let namespaces: PatternList?
        /// The first second in which the key is valid, since 1970 in UTC; nil if it always was.
        package let validAfter: Int64?
        /// The last second in which the key is valid, since 1970 in UTC; nil if it always will be.
        package let validBefore: Int64?
        /// The key.
        package let key: SSHPublicKey
        /// What follows the key, often empty.
        package let comment: String
    }

    /// What the file says about a key.
    package enum Match: Sendable, Hashable {
        /// It may sign: the first line that allows it.
        case signer(Entry)
        /// No line has the key, or none that does names anybody. Lines with `cert-authority` do not count.
        case unknownKey
        /// Only lines for other namespaces have the key; the first of them.
        case wrongNamespace(Entry)
        /// It was allowed until ``Entry/validBefore`` of this line.
        case expired(Entry)
        /// It will be allowed from ``Entry/validAfter`` of this line.
        case notYetValid(Entry)
    }

    /// The lines that could be used, in their order.
    package let entries: [Entry]

    /// Says whether `key` may sign for `namespace`, as git does: `ssh-keygen -Y find-principals` takes the first line
    /// with the key whose time matches, and a line that names one of its principals has to allow it (gpg-interface.c,
    /// `verify_ssh_signed_buffer`).
    ///
    /// If none does, the reason comes from the first line whose namespaces match but whose time does not, else from the
    /// first line with the key.
    ///
    /// - Parameters:
    ///   - key: The key that a signature was made with.
    ///   - namespace: What the signature is for, as in `git`.
    ///   - time: When it was made, in seconds since 1970 in UTC.
    /// - Returns: The line that allows it, or the reason why none does. Whose signature was expected is for the caller
    ///   to check: see ``Entry/principals``.
    package func match(_ key: SSHPublicKey, namespace: String, at time: Int64) -> Match {
        let lines = entries.filter { $0.key == key && !$0.isCertificateAuthority }
        let principals = lines.first { $0.isValid(at: time) }?.principals.signers ?? []
        var refusal: Match = .unknownKey
        for entry in lines {
            guard entry.namespaces?.matches(namespace) ?? true else {
                if case .unknownKey = refusal { refusal = .wrongNamespace(entry) }
                continue
            }
            let verdict = entry.verdict(at: time)
            if case .signer = verdict {
                if principals.contains(where: entry.principals.matches) { return verdict }
                continue
            }
            switch refusal {
            case .unknownKey, .wrongNamespace: refusal = verdict
            case .signer, .expired, .notYetValid: break
            }
        }
        return refusal
    }
}

extension AllowedSigners.Entry {
    fileprivate func isValid(at time: Int64) -> Bool { if case .signer = verdict(at: time) { true } else { false } }

    /// Judges the time alone. Both ends count as valid, as in ssh-keygen.
    fileprivate func verdict(at time: Int64) -> AllowedSigners.Match {
        if let validAfter, time < validAfter { return .notYetValid(self) }
        if let validBefore, time > validBefore { return .expired(self) }
        return .signer(self)
    }
}
