package import EnsignCrypto

/// Whose signatures count on what a live directory says: the lines that `ensign keys` prints.
///
/// A key counts for as long as its line is there. There are no ranges of `seq` here, as there are in the ledger: whoever
/// stole a key that was handed over could sign a new route with an old number. So `ensign keys` allows `ensign-live` for
/// the newest key alone, and what is live is signed anew after a rotation.
package struct LiveKeys: Sendable, Hashable {
    /// Why lines cannot be used.
    package enum Problem: Error, Sendable, Hashable, CustomStringConvertible {
        /// A line that cannot be read, or says what is not followed here. Both are counted from 1.
        case line(Int, column: Int, why: String)
        /// No line allows a key to sign what is live.
        case noKey

        package var description: String {
            switch self {
            case .line(let line, let column, let why): "\(line):\(column): \(why)"
            case .noKey: "no line allows a key for '\(LiveProof.namespace)': take the lines that 'ensign keys' prints"
            }
        }
    }

    private struct Line: Sendable, Hashable {
        var principals: PatternList
        var key: SSHPublicKey
    }

    private let lines: [Line]

    /// Reads lines of an OpenSSH allowed-signers file. Those for other namespaces alone, as of keys that were handed
    /// over, are left out.
    ///
    /// - Returns: All that is wrong, if anything is: a line that cannot be read may be the one that matters.
    package static func read(_ bytes: [UInt8]) -> Result<LiveKeys, Problems> {
        let (signers, unreadable) = AllowedSigners.parse(bytes)
        var problems = unreadable.map { Problem.line($0.line, column: $0.column, why: $0.message) }
        var lines: [Line] = []
        for entry in signers.entries where entry.namespaces?.matches(LiveProof.namespace) ?? true {
            if entry.isCertificateAuthority {
                problems.append(.line(entry.line, column: 1, why: "certificates do not sign what is live"))
            } else if entry.validAfter != nil || entry.validBefore != nil {
                let why = "a key counts for as long as its line is there: take 'valid-after' and 'valid-before' out"
                problems.append(.line(entry.line, column: 1, why: why))
            } else if entry.key.kind != .ed25519 {
                problems.append(.line(entry.line, column: 1, why: "what is live is signed by keys of type ssh-ed25519"))
            } else {
                lines.append(Line(principals: entry.principals, key: entry.key))
            }
        }
        if problems.isEmpty, lines.isEmpty { problems.append(.noKey) }
        guard problems.isEmpty else { return .failure(Problems(all: problems)) }
        return .success(LiveKeys(lines: lines))
    }

    /// At least one problem, in the order of the lines.
    package struct Problems: Error, Sendable, Hashable {
        package let all: [Problem]

        init(all: [Problem]) {
            self.all = all.sorted { left, right in
                switch (left, right) {
                case (.line(let left, _, _), .line(let right, _, _)): left < right
                case (.line, .noKey): true
                case (.noKey, _): false
                }
            }
        }
    }

    private init(lines: [Line]) { self.lines = lines }

    /// The keys of one environment, as the ledger itself knows them.
    package init(environment: String, keys: [SSHPublicKey]) {
        let principals = PatternList(Array(LiveProof.principal(environment).utf8))
        lines = principals.map { principals in keys.map { Line(principals: principals, key: $0) } } ?? []
    }

    /// Whether a key may sign what is live in an environment.
    package func allow(_ key: SSHPublicKey, in environment: String) -> Bool {
        let principal = LiveProof.principal(environment)
        return lines.contains { $0.key == key && $0.principals.matches(principal) }
    }

    /// Whether a key may sign what is live anywhere.
    package func know(_ key: SSHPublicKey) -> Bool { lines.contains { $0.key == key } }

    /// Whether some key with this fingerprint (`SHA256:...`) may sign what is live in an environment.
    package func allow(fingerprint: String, in environment: String) -> Bool {
        let principal = LiveProof.principal(environment)
        return lines.contains { $0.key.fingerprint == fingerprint && $0.principals.matches(principal) }
    }
}
