/// `entry.json`: one entry of the ledger. docs/formats/ledger.md describes every field.
package struct Entry: Sendable, Hashable {
    /// Why the entry was written.
    package enum Kind: String, Sendable, CaseIterable {
        case genesis, intent, outcome, recovery, refused, drift, halt, resume, key

        /// Whether an outcome or a recovery must follow. `resume` is the intent of a run that lifts halts.
        package var isIntent: Bool { self == .intent || self == .resume }
    }

    /// What came of it.
    package enum Result: String, Sendable, CaseIterable {
        case pending, ok, failed, partial
    }

    /// The entry before this one.
    package struct Previous: Sendable, Hashable {
        package var commit: ObjectID
        /// Of the previous `entry.json`.
        package var sha256: String

        package init(commit: ObjectID, sha256: String) {
            self.commit = commit
            self.sha256 = sha256
        }
    }

    /// The commit that caused the entry.
    package struct Source: Sendable, Hashable {
        package var ref: String
        package var commit: ObjectID
        package var author: String
        /// Fingerprint of the key that signed the commit.
        package var signer: String?
        package var signature: SignatureState

        package init(ref: String, commit: ObjectID, author: String, signer: String?, signature: SignatureState) {
            self.ref = ref
            self.commit = commit
            self.author = author
            self.signer = signer
            self.signature = signature
        }
    }

    /// The version of the format. An entry is written in the newest one, and read in any.
    package enum Format: Int64, Sendable, Comparable {
        case v1 = 1
        /// Changes of an environment's own rules and of files that belong to no agent; proofs of soak; overrides;
        /// signatures that cannot be checked.
        case v2 = 2

        package static let current = Format.v2

        package static func < (a: Format, b: Format) -> Bool { a.rawValue < b.rawValue }
    }

    /// What is known about a source commit's signature.
    package enum SignatureState: String, Sendable, CaseIterable {
        case good, none, bad
        case unknownKey = "unknown-key"
        /// Nothing here can check a key of that type. Since ``Format/v2``.
        case unsupported
    }

    /// Who wrote the entry.
    package struct Actor: Sendable, Hashable {
        package enum Mode: String, Sendable, CaseIterable {
            case hook, cli, watch
        }

        package var mode: Mode
        package var name: String
        package var host: String
        /// Ensign's own version.
        package var version: String

        package init(mode: Mode, name: String, host: String, version: String) {
            self.mode = mode
            self.name = name
            self.host = host
            self.version = version
        }
    }

    /// The most changes within the entry itself; more go into `changes.jsonl`.
    package static let maxChanges = 100
    /// The most bytes that `entry.json` may have.
    package static let maxBytes = 65_535
    /// The most bytes of its reason.
    private static let maxReason = 1_000

    package var format: Format
    package var sequence: Int64
    package var kind: Kind
    package var environment: String
    package var previous: Previous?
    package var source: Source?
    package var actor: Actor
    package var time: Timestamp
    package var reason: Reason
    package var changes: [Change]
    /// Set when the changes are in `changes.jsonl`: how many, and the SHA-256 of that file.
    package var changesElsewhere: ChangesFile?
    /// By name, `create`, `update` and so on, and `agents`: how many are live after this entry.
    package var counts: [String: Int64]
    package var result: Result
    package var error: String?
    /// Authorised signing keys, as `ssh-ed25519 <base64>`; in `genesis` and `key` entries.
    package var keys: [String]?

    /// Where the changes are when they do not fit.
    package struct ChangesFile: Sendable, Hashable {
        package var total: Int64
        package var sha256: String

        package init(total: Int64, sha256: String) {
            self.total = total
            self.sha256 = sha256
        }
    }

    package init(
        format: Format = .current,
        sequence: Int64,
        kind: Kind,
        environment: String,
        previous: Previous?,
        source: Source?,
        actor: Actor,
        time: Timestamp,
        reason: Reason,
        changes: [Change],
        changesElsewhere: ChangesFile? = nil,
        counts: [String: Int64],
        result: Result,
        error: String? = nil,
        keys: [String]? = nil
    ) {
        self.format = format
        self.sequence = sequence
        self.kind = kind
        self.environment = environment
        self.previous = previous
        self.source = source
        self.actor = actor
        self.time = time
        self.reason = reason
        self.changes = changes
        self.changesElsewhere = changesElsewhere
        self.counts = counts
        self.result = result
        self.error = error
        self.keys = keys
    }
}

extension Entry {
    package var json: JSONValue {
        var object: JSONObject = [
            "v": .integer(format.rawValue), "seq": .integer(sequence), "kind": .string(kind.rawValue),
            "environment": .string(environment),
            "previous": previous.map {
                ["commit": .string($0.commit.description), "sha256": .string($0.sha256)]
            } ?? .null,
            "source": source.map {
                [
                    "ref": .string($0.ref), "commit": .string($0.commit.description), "author": .string($0.author),
                    "signer": $0.signer.map { .string($0) } ?? .null, "signature": .string($0.signature.rawValue),
                ]
            } ?? .null,
            "actor": [
                "mode": .string(actor.mode.rawValue), "name": .string(actor.name), "host": .string(actor.host),
                "version": .string(actor.version),
            ],
            "time": .string(time.description), "reason": .string(reason.text),
            "changes": .array(changes.map(\.json)),
            "counts": .object(JSONObject(counts.map { ($0.key, .integer($0.value)) })),
            "result": .string(result.rawValue), "error": error.map { .string($0) } ?? .null,
        ]
        if let file = changesElsewhere {
            object["changesTotal"] = .integer(file.total)
            object["changesSHA256"] = .string(file.sha256)
        }
        if let keys { object["keys"] = .array(keys.map { .string($0) }) }
        return .object(object)
    }

    /// Shortens texts from outside, so that an entry without changes fits into ``maxBytes``.
    ///
    /// Reading does not cut: the signature covers the entry's exact bytes.
    package mutating func bound() {
        if let author = source?.author { source?.author = author.cut(utf8: 500) }
        actor.name = actor.name.cut(utf8: 200)
        actor.host = actor.host.cut(utf8: 200)
        if reason.text.utf8.count > Self.maxReason { reason = Reason(text: reason.text.cut(utf8: Self.maxReason)) }
        error = error?.cut(utf8: 2_000)
    }

    /// The file's bytes: RFC 8785 on one line, plus a final newline.
    package var bytes: [UInt8] { json.canonicalBytes() + [0x0A] }

    /// Reads an entry back.
    ///
    /// Unknown fields are dropped: canonical bytes that carry more than this version knows do not round-trip, and
    /// verification says so.
    ///
    /// - Returns: nil when a field is missing or has the wrong type, when `v` is not a ``Format``, or when something is there
    ///   that this format does not have. Numbers are counts
    ///   (``JSONValue/count``), so that what is added to them stays in range.
    package init?(json: JSONValue) {
        guard let format = json["v"]?.int.flatMap({ Format(rawValue: $0) }), let sequence = json["seq"]?.count,
            let kind = json["kind"]?.string.flatMap({ Kind(rawValue: $0) }),
            let environment = json["environment"]?.string,
            let previousValue = json["previous"], let sourceValue = json["source"],
            let actorValue = json["actor"],
            let mode = actorValue["mode"]?.string.flatMap({ Actor.Mode(rawValue: $0) }),
            let actorName = actorValue["name"]?.string, let host = actorValue["host"]?.string,
            let version = actorValue["version"]?.string,
            let time = json["time"]?.string.flatMap({ Timestamp($0) }),
            let reason = json["reason"]?.string.map({ Reason(text: $0) }),
            let changeValues = json["changes"]?.array, changeValues.count <= Self.maxChanges,
            let countValues = json["counts"]?.object,
            let result = json["result"]?.string.flatMap({ Result(rawValue: $0) }),
            let errorValue = json["error"]
        else { return nil }
        let changes = changeValues.compactMap { Change(json: $0, format) }
        guard changes.count == changeValues.count else { return nil }
        let (previous, source) = (Previous(json: previousValue), Source(json: sourceValue))
        guard (previous == nil) == previousValue.isNull, (source == nil) == sourceValue.isNull,
            format >= .v2 || source?.signature != .unsupported
        else { return nil }
        var counts: [String: Int64] = [:]
        for (name, value) in countValues {
            guard let count = value.count else { return nil }
            counts[name] = count
        }
        let elsewhere = ChangesFile(json: json)
        guard (elsewhere == nil) == (json["changesTotal"] == nil) else { return nil }
        self.init(
            format: format,
            sequence: sequence,
            kind: kind,
            environment: environment,
            previous: previous,
            source: source,
            actor: Actor(mode: mode, name: actorName, host: host, version: version),
            time: time,
            reason: reason,
            changes: changes,
            changesElsewhere: elsewhere,
            counts: counts,
            result: result,
            error: errorValue.string,
            keys: json["keys"]?.array?.compactMap(\.string)
        )
    }
}

extension Entry.Previous {
    fileprivate init?(json: JSONValue) {
        guard let commit = json["commit"]?.string.flatMap({ ObjectID($0) }),
            let sha256 = json["sha256"]?.string.flatMap({ Digest(hex: $0) })
        else { return nil }
        self.init(commit: commit, sha256: sha256.hex)
    }
}

extension Entry.Source {
    fileprivate init?(json: JSONValue) {
        guard let ref = json["ref"]?.string, let commit = json["commit"]?.string.flatMap({ ObjectID($0) }),
            let author = json["author"]?.string,
            let signature = json["signature"]?.string.flatMap({ Entry.SignatureState(rawValue: $0) })
        else { return nil }
        self.init(ref: ref, commit: commit, author: author, signer: json["signer"]?.string, signature: signature)
    }
}

extension Entry.ChangesFile {
    /// From the entry's own JSON.
    fileprivate init?(json: JSONValue) {
        guard let total = json["changesTotal"]?.count,
            let sha256 = json["changesSHA256"]?.string.flatMap({ Digest(hex: $0) })
        else { return nil }
        self.init(total: total, sha256: sha256.hex)
    }
}
