import EnsignCrypto
import EnsignJSON
import EnsignManifest
package import EnsignModel

/// One line of the decision log (docs/formats/decision-log.md): canonical JSON (RFC 8785) with the digest of the line
/// before, and an authenticator.
package struct LogLine: Sendable {
    /// The members, `mac` among them.
    package let json: JSONValue
    /// Without the line feed.
    package let bytes: [UInt8]

    /// The most bytes of a line. What does not fit is left out before it is written.
    package static let mostBytes = 32_768
    /// The most bytes of a value that is kept in clear; of a longer one its HMAC is kept.
    package static let mostRecorded = 1_024

    package var sequence: Int64 { json["seq"]?.int ?? 0 }
    /// `sha256:` of the line: the next one's `prev`.
    package var digest: Digest { Compiler.digest(of: bytes) }

    /// What surrounds a decision in a line.
    package struct Place: Sendable {
        package var sequence: Int64
        /// Nil for the first line of all.
        package var previous: Digest?
        package var time: Moment
        package var environment: String
        /// The process that writes it: an intent is open as long as that process may still write its outcome.
        package var writer: String
    }

    package init(_ decision: Decision, at place: Place, secret: LogSecret) {
        self.init(decision.members(secret), at: place, secret: secret)
    }

    /// - Parameter members: The decision's own.
    init(_ members: JSONObject, at place: Place, secret: LogSecret) {
        var members = members
        members["v"] = 1
        members["seq"] = .integer(place.sequence)
        members["prev"] = place.previous.map { .string($0.description) } ?? .null
        members["time"] = .string(place.time.milliseconds)
        members["environment"] = .string(place.environment)
        members["writer"] = .string(place.writer)
        // Made once: the authenticator is put in its place, after the members that are sorted before it.
        let before = JSONValue.object(JSONObject(members.filter { $0.key < "mac" })).canonicalBytes().dropLast()
        let after = JSONValue.object(JSONObject(members.filter { $0.key > "mac" })).canonicalBytes().dropFirst()
        let comma = UInt8(ascii: ",")
        let mac = secret.mac(ofLine: Array(before) + [comma] + after)
        members["mac"] = .string(mac)
        json = .object(members)
        bytes = Array(before) + Array(",\"mac\":\"\(mac)\",".utf8) + after
    }

    /// Reads a line back; nil unless it is canonical and has a number.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count <= Self.mostBytes, let json = try? JSONParser.parse(bytes), json["v"] == 1,
            let sequence = json["seq"]?.int, sequence > 0, json.canonicalBytes() == bytes
        else { return nil }
        self.json = json
        self.bytes = bytes
    }

    package var previous: Digest? { json["prev"]?.string.flatMap { Digest($0) } }

    /// Whether the line was written with this secret, and not changed since.
    package func isAuthentic(_ secret: LogSecret) -> Bool {
        guard var members = json.object, let mac = members["mac"]?.string else { return false }
        members["mac"] = nil
        let own = secret.mac(ofLine: JSONValue.object(members).canonicalBytes())
        return HMACSHA256.areEqual(Array(own.utf8), Array(mac.utf8))
    }
}

extension Decision {
    /// The decision's own members.
    func members(_ secret: LogSecret) -> JSONObject {
        var members: JSONObject = ["kind": .string(kind.rawValue)]
        func add(_ name: String, _ text: String?) {
            if let text { members[name] = .string(text) }
        }
        add("agent", agent?.description)
        add("version", version?.description)
        add("bundle", bundle?.description)
        add("present", present?.description)
        if let entry { members["entry"] = .integer(entry) }
        add("run", run?.name.cut(utf8: 256))
        add("runFrom", run?.source.rawValue)
        add("key", key.map(secret.mac(ofKey:)))
        if let asked {
            members["for"] = [
                "iss": .string(asked.issuer.cut(utf8: 256)), "sub": .string(asked.subject.cut(utf8: 256)),
            ]
        }
        add("operation", operation?.cut(utf8: 256))
        add("arguments", arguments.map(secret.mac(ofArguments:)))
        add("verdict", verdict?.rawValue)
        add("reason", reason?.rawValue)
        add("at", pointer?.cut(utf8: 1_024))
        if let approval {
            let by = approval.by.prefix(8).map { JSONValue.string($0.cut(utf8: 256)) }
            members["approval"] = ["id": .string(approval.id), "by": .array(by)]
        }
        add("outcome", outcome?.rawValue)
        if let milliseconds { members["ms"] = JSONValue((milliseconds * 1_000).rounded() / 1_000) }
        if let bytes { members["bytes"] = .integer(Int64(bytes)) }
        add("trace", trace?.cut(utf8: 64))
        if let intent { members["intent"] = .integer(intent) }
        add("note", note?.cut(utf8: 1_024))
        if !recorded.isEmpty {
            let kept = recorded.prefix(8).map { pointer, value -> (String, JSONValue) in
                let isShort = value.canonicalBytes().count <= LogLine.mostRecorded
                return (pointer.cut(utf8: 256), isShort ? value : .string(secret.mac(ofArguments: value)))
            }
            members["record"] = .object(JSONObject(kept))
        }
        return members
    }
}

extension Moment {
    /// `2026-11-29T03:00:00.123Z`.
    package var milliseconds: String {
        let rest = nanoseconds - timestamp.seconds * 1_000_000_000
        let digits = String(1_000 + rest / 1_000_000).dropFirst()
        return String(timestamp.description.dropLast()) + ".\(digits)Z"
    }
}
