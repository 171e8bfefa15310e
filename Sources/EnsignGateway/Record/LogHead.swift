package import EnsignCrypto
import EnsignJSON
package import EnsignModel

/// The newest line of a log at some time, signed by the gateway. Whoever keeps one can tell that the log was cut or written
/// anew since.
package struct LogHead: Sendable, Hashable {
    /// The namespace of its signature.
    package static let namespace = "ensign-log"

    package var environment: String
    package var sequence: Int64
    /// Of the line.
    package var digest: Digest
    package var time: Timestamp
    /// The number of the first line that was kept when lines were removed by age; nil where none were.
    package var first: Int64?
    /// As `ssh-keygen -Y sign` writes it, over the canonical JSON of the rest and a line feed.
    package var signature: String

    package init(
        environment: String,
        sequence: Int64,
        digest: Digest,
        time: Timestamp,
        first: Int64? = nil,
        signedBy key: borrowing SSHPrivateKey
    ) {
        self.environment = environment
        self.sequence = sequence
        self.digest = digest
        self.time = time
        self.first = first
        signature = ""
        signature = SSHSignature.sign(signed, key: key, namespace: Self.namespace)
    }

    package init?(_ bytes: [UInt8]) {
        guard let json = try? JSONParser.parse(bytes), let environment = json["environment"]?.string,
            let sequence = json["seq"]?.count, sequence > 0,
            let digest = json["digest"]?.string.flatMap({ Digest($0) }),
            let time = json["time"]?.string.flatMap({ Timestamp($0) }), let signature = json["signature"]?.string
        else { return nil }
        self.environment = environment
        self.sequence = sequence
        self.digest = digest
        self.time = time
        first = json["first"]?.count
        self.signature = signature
    }

    private var members: JSONObject {
        var members: JSONObject = [
            "v": 1, "environment": .string(environment), "seq": .integer(sequence),
            "digest": .string(digest.description), "time": .string(time.description),
        ]
        members["first"] = first.map(JSONValue.integer)
        return members
    }

    private var signed: [UInt8] { JSONValue.object(members).canonicalBytes() + [0x0A] }

    package var json: JSONValue {
        var members = members
        members["signature"] = .string(signature)
        return .object(members)
    }

    /// Whether this key signed it.
    package func isSigned(by key: SSHPublicKey) -> Bool {
        guard let signature = try? SSHSignature(armored: Array(signature.utf8)), signature.publicKey == key else {
            return false
        }
        return signature.verdict(on: signed, namespace: Self.namespace) == .good
    }
}
