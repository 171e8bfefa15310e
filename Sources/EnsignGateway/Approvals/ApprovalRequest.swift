import EnsignCrypto
import EnsignJSON
import EnsignManifest
package import EnsignModel

/// What somebody is asked to agree to, as a file: complete, and readable before it is signed.
///
/// Its bytes follow from what is asked and from values of its own (id, nonce, when, until when, what may have happened). A signature is checked over
/// bytes that are made here and now from the call, never over what a folder holds.
package struct ApprovalRequest: Sendable, Hashable {
    package var id: String
    /// In hexadecimal: 128 bits, so that no two requests have the same bytes, and as many that prove that the gateway made it.
    package var nonce: String
    package var requested: Timestamp
    /// The last moment at which it may be agreed to and used.
    package var until: Timestamp
    /// The request of the same call that people agreed to before, where nobody knows what came of it.
    package var mayHaveHappened: String?
    /// Everything that is asked.
    package var asked: JSONObject

    /// Whether it may still be answered and used. One from later than now was made while the clock was ahead: nobody knows how
    /// long it was meant to hold.
    func isGood(at now: Timestamp) -> Bool { until >= now && requested.seconds(since: now) <= Self.leeway }

    /// In seconds.
    private static let leeway: Int64 = 300

    init(
        _ question: ApprovalQuestion,
        id: String,
        nonce: String,
        requested: Timestamp,
        until: Timestamp,
        mayHaveHappened: String? = nil
    ) {
        self.id = id
        self.nonce = nonce
        self.requested = requested
        self.until = until
        self.mayHaveHappened = mayHaveHappened
        asked = Self.asked(question)
    }

    /// Writes into the nonce that the gateway has made it.
    mutating func seal(by secret: LogSecret) { nonce += secret.mac(ofRequest: bytes) }

    /// Whether the gateway has made it as it is.
    func isSealed(by secret: LogSecret) -> Bool {
        var bare = self
        bare.nonce = String(nonce.prefix(32))
        let own = bare.nonce + secret.mac(ofRequest: bare.bytes)
        return HMACSHA256.areEqual(Array(own.utf8), Array(nonce.utf8))
    }

    /// Reads a request's file; nil for anything else.
    package init?(_ bytes: [UInt8]) {
        guard let json = try? JSONParser.parse(bytes), json["kind"] == .string(Self.kind),
            let id = json["id"]?.string, Self.isID(id), let nonce = json["nonce"]?.string,
            let requested = json["requested"]?.string.flatMap({ Timestamp($0) }),
            let until = json["until"]?.string.flatMap({ Timestamp($0) }), var asked = json.object
        else { return nil }
        mayHaveHappened = asked["mayHaveHappened"]?.string
        for name in ["v", "kind", "id", "nonce", "requested", "until", "mayHaveHappened"] { asked[name] = nil }
        self.id = id
        self.nonce = nonce
        self.requested = requested
        self.until = until
        self.asked = asked
        guard self.bytes == bytes else { return nil }
    }

    private static let kind = "ApprovalRequest"

    static func asked(_ question: ApprovalQuestion) -> JSONObject {
        var asked: JSONObject = [
            "environment": .string(question.environment), "agent": .string(question.agent.description),
            "version": .string(question.version.description), "bundle": .string(question.bundle.description),
            "operation": .string(question.operation), "arguments": question.arguments,
            "argumentsSHA256": .string(Compiler.digest(of: question.arguments.canonicalBytes()).description),
            "run": .string(question.run.name), "needs": .string(question.needed.rawValue),
        ]
        for (name, asker) in [("for", question.asker), ("alsoFor", question.otherAsker)] {
            guard let asker else { continue }
            var members: JSONObject = ["issuer": .string(asker.issuer), "subject": .string(asker.subject)]
            if let email = asker.email { members["email"] = .string(email) }
            asked[name] = .object(members)
        }
        return asked
    }

    /// The call that is asked for, whatever version of the agent asks and however many people it needs: what is asked for it
    /// later stands in this one's place.
    var call: JSONValue { Self.call(in: asked) }

    static func call(in asked: JSONObject) -> JSONValue {
        var call = asked
        for name in ["bundle", "needs", "version"] { call[name] = nil }
        return .object(call)
    }

    /// Whoever asked the agent for the call, as far as the request says: none of them agrees to it.
    package var askers: [Asker] {
        ["for", "alsoFor"].compactMap { name in
            guard let members = asked[name], let issuer = members["issuer"]?.string,
                let subject = members["subject"]?.string
            else { return nil }
            return Asker(issuer: issuer, subject: subject, email: members["email"]?.string)
        }
    }

    package var agent: AgentID? { asked["agent"]?.string.flatMap { AgentID($0) } }
    package var operation: String { asked["operation"]?.string ?? "" }
    /// Tool and operation.
    var names: (tool: String, operation: String)? {
        let names = operation.split(separator: ".", maxSplits: 1)
        return names.count == 2 ? (String(names[0]), String(names[1])) : nil
    }
    package var needs: String { asked["needs"]?.string ?? "" }

    package var json: JSONValue {
        var members = asked
        members["v"] = 1
        members["kind"] = .string(Self.kind)
        members["id"] = .string(id)
        members["nonce"] = .string(nonce)
        members["requested"] = .string(requested.description)
        members["until"] = .string(until.description)
        members["mayHaveHappened"] = mayHaveHappened.map(JSONValue.string)
        return .object(members)
    }

    /// The file: indented JSON with a line feed at its end. What a terminal would not show as it is (control characters, text
    /// that runs backwards, what cannot be seen) is escaped, so that nobody signs other words than they read.
    package var bytes: [UInt8] {
        var text = ""
        for scalar in String(decoding: json.prettyBytes(), as: UTF8.self).unicodeScalars {
            guard scalar != "\n", DisplayText.isUnsafe(scalar) else {
                text.unicodeScalars.append(scalar)
                continue
            }
            for unit in Character(scalar).utf16 {
                let digits = String(unit, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return Array(text.utf8) + [0x0A]
    }

    /// The digest of the file, as `sha256sum` prints it: what a token of an issuer names.
    package var digest: Digest { Compiler.digest(of: bytes) }

    // MARK: Names

    /// Whether a text can be a request's name: it becomes a file's.
    package static func isID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) || $0 == 0x2D }
    }

    /// What the names of an agent's requests begin with.
    static func prefix(of agent: AgentID) -> String {
        String(SHA256.hex(of: Array(agent.description.utf8)).prefix(4)) + "-"
    }

    /// What the names of requests for the same question begin with.
    static func prefix(of question: ApprovalQuestion) -> String {
        let digest = SHA256.hex(of: JSONValue.object(asked(question)).canonicalBytes())
        return prefix(of: question.agent) + digest.prefix(8) + "-"
    }
}
