import EnsignCrypto
import EnsignJSON
package import EnsignModel
import Glibc

/// A stop that was asked for, before the ledger has it: one record of the halts file (docs/formats/halts.md).
package struct HaltRecord: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        case halt
        /// A halted agent was seen to act: an alarm, which stops nothing by itself.
        case activity
    }

    package var id: UInt64
    package var kind: Kind
    package var scope: HaltScope
    package var reason: String
    /// `ada@host`, or `kill-switch`.
    package var by: String
    package var time: Moment
    /// The kill switch's rule that was broken, as manifests name it.
    package var rule: String?
    /// What was reached, in the rule's unit.
    package var observed: Double?
    /// The number of the newest entry when somebody asked for it; nil where nobody looked.
    package var after: Int64?
    /// The record that this one follows, of an agent that was given another name; nil for one that somebody asked for.
    package var original: UInt64?

    /// The record that somebody asked for: this one, or the one that it follows.
    var asked: UInt64 { original ?? id }

    package init(
        kind: Kind = .halt,
        scope: HaltScope,
        reason: String,
        by: String,
        time: Moment,
        rule: String? = nil,
        observed: Double? = nil,
        after: Int64? = nil
    ) {
        id = UInt64.random(in: 1 ... .max)
        self.kind = kind
        self.scope = scope
        self.reason = reason
        self.by = by
        self.time = time
        self.rule = rule
        self.observed = observed
        self.after = after
    }
}

extension HaltScope {
    /// As a record has it.
    var text: String {
        switch self {
        case .agent(let agent): "agent:\(agent)"
        case .team(let team): "team:\(team)"
        case .all: "all"
        }
    }

    init?(text: String) {
        if text == "all" {
            self = .all
        } else if text.hasPrefix("agent:"), let agent = AgentID(text.dropFirst(6)) {
            self = .agent(agent)
        } else if text.hasPrefix("team:"), Name.isValid(text.dropFirst(5)) {
            self = .team(String(text.dropFirst(5)))
        } else {
            return nil
        }
    }
}

extension HaltRecord {
    /// Bytes of a record in the file.
    static let size = 1_024
    /// How many of them the JSON text may take: the mark, 16 digits and a space come before it, a line feed after it.
    private static let textLimit = size - 19

    private var json: JSONValue {
        [
            "v": 1, "id": .string(String(id, radix: 16)), "kind": .string(kind.rawValue), "scope": .string(scope.text),
            "reason": .string(reason), "by": .string(by), "time": .integer(time.nanoseconds),
            "rule": rule.map { .string($0) } ?? .null,
            "observed": observed.flatMap { $0.isFinite ? JSONValue($0) : nil } ?? .null,
            "after": after.map { .integer($0) } ?? .null,
            "original": original.map { .string(String($0, radix: 16)) } ?? .null,
        ]
    }

    /// The record as it is in the file: `P`, the first 16 digits of the SHA-256 of what follows up to the line feed, a
    /// space, the JSON text padded with spaces. A reason that is too long is cut.
    var slot: [UInt8] {
        var record = self
        record.by = by.cut(utf8: 160)
        record.rule = rule?.cut(utf8: 80)
        record.reason = ""
        // All else is bounded, and leaves at least some 400 bytes for the reason.
        record.reason = reason.cut(utf8: Self.textLimit - record.json.canonicalBytes().count)
        var text = record.json.canonicalBytes()
        text += [UInt8](repeating: 0x20, count: Self.textLimit - text.count)
        return [Self.pendingMark] + Array(SHA256.hex(of: text).utf8.prefix(16)) + [0x20] + text + [0x0A]
    }

    static let pendingMark = UInt8(ascii: "P")
    static let doneMark = UInt8(ascii: "D")

    /// What is in a record's place.
    enum Slot {
        case free
        case pending(HaltRecord)
        case done
        /// Torn or overwritten.
        case damaged
        /// Whole, and of a kind that this version does not know.
        case unknown

        init(_ bytes: ArraySlice<UInt8>) {
            guard let mark = bytes.first, bytes.count == HaltRecord.size else {
                self = .damaged
                return
            }
            switch mark {
            case 0 where HaltRecord.isFree(bytes): self = .free
            case HaltRecord.doneMark: self = .done
            case HaltRecord.pendingMark where HaltRecord.isWhole(bytes):
                self = HaltRecord(whole: bytes).map { .pending($0) } ?? .unknown
            default: self = .damaged
            }
        }
    }

    /// A record, pending or not; nil where it is not whole, or of a kind that this version does not know.
    init?(remembered bytes: ArraySlice<UInt8>) {
        guard let mark = bytes.first, bytes.count == Self.size, [Self.pendingMark, Self.doneMark].contains(mark),
            Self.isWhole(bytes)
        else { return nil }
        self.init(whole: bytes)
    }

    private init?(whole bytes: ArraySlice<UInt8>) {
        guard let json = try? JSONParser.parse(Array(bytes.dropFirst(18).dropLast())) else { return nil }
        self.init(json)
    }

    private static let zeros = [UInt8](repeating: 0, count: size)

    /// Most places are free, and each run looks at all of them several times.
    private static func isFree(_ bytes: ArraySlice<UInt8>) -> Bool {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe zeros.withUnsafeBytes { zeros in
                guard let left = bytes.baseAddress, let right = zeros.baseAddress else { return false }
                return unsafe memcmp(left, right, size) == 0
            }
        }
    }

    private static func isWhole(_ bytes: ArraySlice<UInt8>) -> Bool {
        let text = Array(bytes.dropFirst(18).dropLast())
        return Array(SHA256.hex(of: text).utf8.prefix(16)).elementsEqual(bytes.dropFirst().prefix(16))
    }

    private init?(_ json: JSONValue) {
        guard json["v"]?.int == 1, let id = json["id"]?.string.flatMap({ UInt64($0, radix: 16) }),
            let kind = json["kind"]?.string.flatMap({ Kind(rawValue: $0) }),
            let scope = json["scope"]?.string.flatMap({ HaltScope(text: $0) }), let reason = json["reason"]?.string,
            let by = json["by"]?.string, let time = json["time"]?.int
        else { return nil }
        self.init(
            kind: kind,
            scope: scope,
            reason: reason,
            by: by,
            time: Moment(nanoseconds: time),
            rule: json["rule"]?.string,
            observed: json["observed"]?.double,
            after: json["after"]?.int
        )
        self.id = id
        original = json["original"]?.string.flatMap { UInt64($0, radix: 16) }
    }
}
