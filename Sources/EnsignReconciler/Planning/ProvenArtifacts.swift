import EnsignLedger
import EnsignModel

/// What the ledger of another environment says of artifacts, so that a version that waits costs nothing until that ledger
/// goes on.
struct ProvenArtifacts: Sendable {
    /// The newest entry that was verified whole, and the key with which it begins.
    var verified: (commit: ObjectID, key: String)?
    private var tip: ObjectID?
    private var records: [String: (enough: Int64, record: StableRecord)] = [:]

    init() {}

    func isVerified(_ commit: ObjectID, by key: String) -> Bool {
        verified.map { $0.commit == commit && $0.key == key } ?? false
    }

    func record(_ agent: AgentID, _ artifact: Digest, tip: ObjectID, enough: Int64) -> StableRecord? {
        guard self.tip == tip, let known = records["\(agent) \(artifact.hex)"], known.enough == enough else {
            return nil
        }
        return known.record
    }

    mutating func remember(_ record: StableRecord, _ agent: AgentID, _ artifact: Digest, tip: ObjectID, enough: Int64) {
        if self.tip != tip || records.count >= 1_000 { records = [:] }
        self.tip = tip
        records["\(agent) \(artifact.hex)"] = (enough, record)
    }
}

extension ProvenArtifacts: StateValue {
    static let kind = StateKind("cache/<env>/proven", .memo, limit: 1 << 24)

    init?(_ contents: StateContents) {
        if let commit = contents["verified"]?.string.flatMap({ ObjectID($0) }), let key = contents["key"]?.string {
            verified = (commit, key)
        }
        tip = contents["tip"]?.string.flatMap { ObjectID($0) }
        for record in contents.records {
            guard let value = record.value, let enough = value["enough"]?.count, let periods = value["periods"]?.array
            else { return nil }
            let known = periods.compactMap(StablePeriod.init(json:))
            guard known.count == periods.count else { return nil }
            records[record.key] = (enough, StableRecord(periods: known, flaw: value["flaw"]?.string))
        }
    }

    var contents: StateContents {
        StateContents(
            [
                "verified": verified.map { .string($0.commit.description) } ?? .null,
                "key": verified.map { .string($0.key) } ?? .null, "tip": tip.map { .string($0.description) } ?? .null,
            ],
            records: records.sorted { $0.key < $1.key }.map { key, known in
                StateRecord(
                    key,
                    [
                        "enough": .integer(known.enough), "flaw": known.record.flaw.map { .string($0) } ?? .null,
                        "periods": .array(known.record.periods.map(\.json)),
                    ]
                )
            }
        )
    }
}

extension StablePeriod {
    fileprivate var json: JSONValue {
        [
            "since": .string(since.description), "until": until.map { .string($0.description) } ?? .null,
            "seq": .integer(sequence),
        ]
    }

    fileprivate init?(json: JSONValue) {
        guard let since = json["since"]?.string.flatMap({ Timestamp($0) }), let sequence = json["seq"]?.count,
            let untilValue = json["until"]
        else { return nil }
        let until = untilValue.string.flatMap { Timestamp($0) }
        guard (until == nil) == untilValue.isNull else { return nil }
        self.init(since: since, until: until, sequence: sequence)
    }
}
