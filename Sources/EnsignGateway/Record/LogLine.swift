import EnsignCrypto
import EnsignJSON
import EnsignManifest
package import EnsignModel

/// One line of the decision log as it was read (docs/formats/decision-log.md): canonical JSON (RFC 8785) with the digest of
/// the line before, and an authenticator. ``NewLine`` is one that is written.
package struct LogLine: Sendable {
    /// The members, `mac` among them.
    package let json: JSONValue
    /// Without the line feed.
    package let bytes: [UInt8]

    /// The most bytes of a line. What does not fit is left out before it is written.
    package static let mostBytes = 32_768
    /// The most bytes of a value that is kept in clear; of a longer one its HMAC is kept.
    package static let mostRecorded = 1_024
    /// The most bytes of such values in one line, with their pointers, as they are written: there must be room for what stands
    /// for longer ones, and for everything else.
    static let mostRecordedTogether = 16_384
    /// The most values of one line: 20 by each of the two grants that decide about a call.
    static let mostPlaces = 40

    package var sequence: Int64 { json["seq"]?.count ?? 0 }
    /// `sha256:` of the line: the next one's `prev`.
    package var digest: Digest { Compiler.digest(of: bytes) }

    /// Reads a line back; nil unless it is canonical and has a number, of those that a log can come to.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count <= Self.mostBytes, let json = try? JSONParser.parse(bytes), json["v"] == 1,
            let sequence = json["seq"]?.count, sequence > 0, json.canonicalBytes() == bytes
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
