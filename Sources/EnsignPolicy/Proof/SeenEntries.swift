import EnsignCrypto
package import EnsignModel

/// The newest entry that a reader has seen of each file, so that no older one is taken for it.
///
/// When a host was last heard is not remembered: an older header says so itself, and whoever minds how old it is sees it.
///
/// Counted for each key: a ledger that begins anew with another key counts from 0 again. A file that was seen under a key
/// that is not among the keys any more is as if it had not been seen.
package struct SeenEntries: Sendable, Hashable {
    private struct Seen: Sendable, Hashable {
        var entry: Int64
        var key: String
    }

    private var files: [String: Seen] = [:]

    package init() {}

    /// What a reader does with a file that is proven.
    package enum Verdict: Sendable, Hashable {
        /// Nothing newer was seen.
        case current
        /// It was there before, and so was a newer one: this entry. It must not be used.
        case older(than: Int64)
    }

    /// Whether a file may be used; one that may is remembered.
    ///
    /// - Parameter keys: Those with which it was proven.
    package mutating func admit(
        _ proven: LiveProof.Proven,
        as file: LiveProof.File,
        of environment: String,
        keys: LiveKeys
    ) -> Verdict {
        let now = Seen(entry: proven.entry, key: proven.key.fingerprint)
        if let before = files[file.path], keys.allow(fingerprint: before.key, in: environment) {
            // What it was signed with last counts: a key that was handed over must not take the place back. The header is
            // signed again and again, and says itself when.
            let isSame = now.entry == before.entry && (now.key == before.key || file == .header)
            guard now.entry > before.entry || isSame else { return .older(than: before.entry) }
        }
        if files[file.path] != now { files[file.path] = now }
        return .current
    }
}

// MARK: - Keeping

extension SeenEntries {
    package var json: JSONValue {
        let seen = files.map { path, seen -> (String, JSONValue) in
            (path, ["entry": .integer(seen.entry), "key": .string(seen.key)])
        }
        return ["v": 1, "seen": .object(JSONObject(seen))]
    }

    /// Reads what was kept; nil for anything else, which a reader must not take for nothing.
    package init?(json: JSONValue) {
        guard json["v"]?.int == 1, let seen = json["seen"]?.object else { return nil }
        for (path, value) in seen {
            guard let entry = value["entry"]?.count, let key = value["key"]?.string else { return nil }
            files[path] = Seen(entry: entry, key: key)
        }
    }
}
