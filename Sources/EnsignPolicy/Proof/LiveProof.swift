package import EnsignCrypto
import EnsignJSON
package import EnsignModel

/// The proof in each file that a live directory changes: an SSH signature by the environment's ledger key, and the entry
/// of the ledger that published the file (docs/formats/live-directory.md, "Proof").
///
/// Signed is the file itself without `proof.signature`: canonical JSON and a line feed. So stock tools check it: `jq -cS
/// 'del(.proof.signature)' FILE | ssh-keygen -Y verify -n ensign-live ...`. Pure: bytes, keys and what is expected decide.
package enum LiveProof {
    /// What the signature is for. Another one than the ledger's `git`: neither can be shown as the other.
    package static let namespace = "ensign-live"

    /// The member of a file that holds the proof.
    package static let member = "proof"

    /// The name in front of an environment's keys in lines of allowed signers.
    package static func principal(_ environment: String) -> String { "\(environment)@ensign.invalid" }

    /// Which file bytes are said to be.
    package enum File: Sendable, Hashable {
        /// `agents/<team>/<agent>.json`.
        case route(AgentID)
        /// `fleet.json`.
        case header
        /// `policy.json`.
        case policy

        /// The file at a path of a live directory; nil for bundles, whose name is their proof.
        package init?(path: some StringProtocol) {
            if path == LivePath.header {
                self = .header
            } else if path == LivePath.policy {
                self = .policy
            } else if let agent = LivePath.agent(atRoute: path) {
                self = .route(agent)
            } else {
                return nil
            }
        }

        package var path: String {
            switch self {
            case .route(let agent): LivePath.route(agent)
            case .header: LivePath.header
            case .policy: LivePath.policy
            }
        }
    }

    /// A file whose proof holds.
    package struct Proven: Sendable, Hashable {
        /// All members but the proof.
        package var value: JSONObject
        /// The `seq` of the ledger's entry that published it: it grows with each change of the file.
        package var entry: Int64
        package var key: SSHPublicKey

        package init(value: JSONObject, entry: Int64, key: SSHPublicKey) {
            self.value = value
            self.entry = entry
            self.key = key
        }
    }

    /// Why a file is not proven.
    package enum Refusal: Error, Sendable, Hashable {
        /// Not one canonical JSON object and a line feed, for this reason.
        case unreadable(String)
        /// It has no proof.
        case unsigned
        /// What stands as the proof is none, for this reason.
        case malformed(String)
        /// The signature is for something else than what is live: this namespace.
        case wrongNamespace(String)
        /// Signed by a key that may not sign this environment: its fingerprint, and whether it may sign another's.
        case wrongKey(String, isKnown: Bool)
        /// The file is not what was signed.
        case altered
        /// The live directory of another environment, or a file that names none.
        case otherEnvironment(String?)
        /// Another agent's route, or no route at all.
        case otherAgent(String?)
        /// One kind of file in another's place.
        case otherFile
    }

    // MARK: Signing

    /// The bytes of a file with its proof.
    ///
    /// - Parameters:
    ///   - value: All of the file but the proof. A proof in it is replaced.
    ///   - entry: The `seq` of the ledger's entry that publishes it.
    ///   - signature: Signs bytes in ``namespace``, as `SSHSignature.sign` does: the same text for the same bytes.
    package static func sign(_ value: JSONObject, entry: Int64, signature: ([UInt8]) -> String) -> [UInt8] {
        var file = value
        var proof: JSONObject = ["entry": .integer(entry)]
        file[member] = .object(proof)
        proof["signature"] = .string(signature(bytes(file)))
        file[member] = .object(proof)
        return bytes(file)
    }

    private static func bytes(_ value: JSONObject) -> [UInt8] { JSONValue.object(value).canonicalBytes() + [0x0A] }

    // MARK: Reading

    /// Whether bytes are this file of this environment, as a key that may sign it signed it.
    ///
    /// - Parameter bytes: At most as long as the caller cares to read; the work is linear in it.
    package static func verify(
        _ bytes: [UInt8],
        as file: File,
        of environment: String,
        keys: LiveKeys
    ) -> Result<Proven, Refusal> {
        Result { () throws(Refusal) in try proven(bytes, file, environment, keys) }
    }

    /// What a file says of its proof, without asking whose it is: all members but the proof, and the entry that it names.
    ///
    /// - Returns: nil for the entry where there is no proof.
    package static func withoutProof(_ bytes: [UInt8]) throws(Refusal) -> (value: JSONObject, entry: Int64?) {
        let value = try parse(bytes)
        guard let proof = value[member] else { return (value, nil) }
        return (value.removing(member), try parts(proof).entry)
    }

    private static func proven(
        _ bytes: [UInt8],
        _ file: File,
        _ environment: String,
        _ keys: LiveKeys
    ) throws(Refusal) -> Proven {
        var value = try parse(bytes)
        try check(value, is: file, of: environment)
        guard let proof = value[member] else { throw .unsigned }
        let (entry, text, signed) = try parts(proof)
        let signature: SSHSignature
        do throws(SSHSignatureError) { signature = try SSHSignature(armored: Array(text.utf8)) } catch {
            throw .malformed(error.description)
        }
        guard signature.namespace == namespace else { throw .wrongNamespace(signature.namespace.cut(utf8: 100)) }
        guard keys.allow(signature.publicKey, in: environment) else {
            throw .wrongKey(signature.publicKey.fingerprint, isKnown: keys.know(signature.publicKey))
        }
        value[member] = .object(signed)
        guard signature.verdict(on: Self.bytes(value), namespace: namespace) == .good else { throw .altered }
        return Proven(value: value.removing(member), entry: entry, key: signature.publicKey)
    }

    /// One spelling only: what two readers could read as two values is refused before anybody asks who signed it.
    private static func parse(_ bytes: [UInt8]) throws(Refusal) -> JSONObject {
        let value: JSONValue
        do throws(JSONError) { value = try JSONParser.parse(bytes) } catch { throw .unreadable(error.description) }
        guard let object = value.object else { throw .unreadable("it is not an object") }
        guard Self.bytes(object) == bytes else {
            throw .unreadable("it is not canonical JSON (RFC 8785) and a line feed")
        }
        return object
    }

    /// What else a later version puts into a proof is signed too, and ignored.
    private static func parts(
        _ proof: JSONValue
    ) throws(Refusal) -> (entry: Int64, signature: String, signed: JSONObject) {
        guard let members = proof.object, let entry = members["entry"]?.count,
            let signature = members["signature"]?.string
        else { throw .malformed("'proof' must have 'entry', a number, and 'signature', a text") }
        return (entry, signature, members.removing("signature"))
    }

    /// What a file says it is, is signed with it. So no signed file can stand for another: only a route names an agent,
    /// only the header an entry.
    private static func check(_ value: JSONObject, is file: File, of environment: String) throws(Refusal) {
        let agent = value["agent"]
        let isHeader = value["entry"] != nil
        switch file {
        case .route(let wanted):
            guard !isHeader else { throw .otherFile }
            let name = agent?.string
            guard let name, name.utf8.elementsEqual(wanted.description.utf8) else {
                throw .otherAgent(name?.cut(utf8: 200))
            }
        case .header:
            guard agent == nil, isHeader else { throw .otherFile }
        case .policy:
            guard agent == nil, !isHeader else { throw .otherFile }
        }
        let name = value["environment"]?.string
        guard let name, name.utf8.elementsEqual(environment.utf8) else { throw .otherEnvironment(name?.cut(utf8: 200)) }
    }
}

extension JSONObject {
    fileprivate func removing(_ key: String) -> JSONObject {
        var rest = self
        rest[key] = nil
        return rest
    }
}

extension LiveProof.Refusal: CustomStringConvertible {
    /// For people: what is wrong with the file, without its name.
    package var description: String {
        switch self {
        case .unreadable(let why): "it cannot be read: \(why)"
        case .unsigned: "it is not signed"
        case .malformed(let why): "its proof cannot be read: \(why)"
        case .wrongNamespace(let name): "its signature is for '\(name)', not for '\(LiveProof.namespace)'"
        case .wrongKey(let key, isKnown: true): "it is signed by \(key), which may sign another environment only"
        case .wrongKey(let key, isKnown: false): "it is signed by \(key), which is not among the keys"
        case .altered: "it is not what was signed"
        case .otherEnvironment(let name?): "it is of the environment '\(name)'"
        case .otherEnvironment(nil): "it names no environment"
        case .otherAgent(let name?): "it is the route of '\(name)'"
        case .otherAgent(nil): "it names no agent"
        case .otherFile: "another kind of file is in its place"
        }
    }
}

extension LiveProof.Refusal {
    /// For programs, in one word: the same in every client (`Tests/Vectors/live-proof.json`).
    package var code: String {
        switch self {
        case .unreadable: "unreadable"
        case .unsigned: "unsigned"
        case .malformed: "malformed"
        case .wrongNamespace: "namespace"
        case .wrongKey: "key"
        case .altered: "altered"
        case .otherEnvironment: "environment"
        case .otherAgent: "agent"
        case .otherFile: "file"
        }
    }
}
