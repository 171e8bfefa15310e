import EnsignCrypto
import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Foundation
import Testing

/// Keys that are made of nothing but a number.
struct LiveSigner {
    let key: SSHPrivateKey
    let environment: String

    init(_ number: UInt8, _ environment: String = "prod") {
        key = SSHPrivateKey(seed: [UInt8](repeating: number, count: 32))
        self.environment = environment
    }

    func signature(_ bytes: [UInt8], namespace: String = LiveProof.namespace) -> String {
        SSHSignature.sign(bytes, key: key, namespace: namespace)
    }

    func line(namespaces: String = "git,ensign-live") -> String {
        "\(environment)@ensign.invalid namespaces=\"\(namespaces)\" \(key.publicKey.line)\n"
    }

    var keys: LiveKeys { LiveKeys(environment: environment, keys: [key.publicKey]) }

    func sign(_ value: JSONObject, entry: Int64) -> [UInt8] {
        LiveProof.sign(value, entry: entry) { signature($0) }
    }

    func sign(_ route: Route, entry: Int64) -> [UInt8] { sign(route.members, entry: entry) }
}

@Suite("Proofs of what is live")
struct LiveProofTests {
    static let agent = AgentID(team: "support", name: "refund-triage")
    private let signer = LiveSigner(1)

    static func route(_ digit: Character = "a", agent: AgentID = agent, _ environment: String = "prod") throws -> Route
    {
        let digest = try #require(Digest(hex: String(repeating: digit, count: 64)))
        let version = try #require(AgentVersion("1.4.0"))
        let targets = [Route.Target(version: version, digest: digest, weight: 100)]
        return Route(agent: agent, environment: environment, phase: .stable, targets: targets)
    }

    private func refusal(
        _ bytes: [UInt8],
        _ file: LiveProof.File = .route(agent),
        _ environment: String = "prod",
        keys: LiveKeys? = nil
    ) -> LiveProof.Refusal? {
        switch LiveProof.verify(bytes, as: file, of: environment, keys: keys ?? signer.keys) {
        case .success: nil
        case .failure(let refusal): refusal
        }
    }

    @Test("What was signed is proven: its value, its entry and its key come back")
    func roundTrip() throws {
        let route = try Self.route()
        let bytes = signer.sign(route, entry: 9)
        let proven = try LiveProof.verify(bytes, as: .route(Self.agent), of: "prod", keys: signer.keys).get()
        #expect(proven.entry == 9)
        #expect(proven.key == signer.key.publicKey)
        #expect(Route(json: .object(proven.value)) == route)
        #expect(signer.sign(route, entry: 9) == bytes, "the same route signed twice has the same bytes")
        #expect(try LiveProof.withoutProof(bytes).entry == 9)
    }

    @Test("A member that a later version adds to a proof is signed too, and ignored")
    func laterMembers() throws {
        var value = try Self.route().members
        value["proof"] = ["entry": 9, "more": "x"]
        let signature = signer.signature(JSONValue.object(value).canonicalBytes() + [0x0A])
        value["proof"] = ["entry": 9, "more": "x", "signature": .string(signature)]
        #expect(refusal(JSONValue.object(value).canonicalBytes() + [0x0A]) == nil)
        value["proof"] = ["entry": 9, "more": "y", "signature": .string(signature)]
        #expect(refusal(JSONValue.object(value).canonicalBytes() + [0x0A]) == .altered)
    }

    @Test("jq and ssh-keygen check a proof, with the lines that 'ensign keys' prints")
    func stockTools() throws {
        let scratch = try ScratchDirectory()
        let folder = scratch.path
        let policy: JSONObject = ["environment": "prod", "prices": ["é\u{1F600}": ["input": 0.3]], "v": 1]
        for (name, bytes) in [
            ("route", signer.sign(try Self.route(), entry: 9)), ("policy", signer.sign(policy, entry: 3)),
        ] {
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name).json"))
            try signer.line().write(toFile: "\(folder)/keys", atomically: true, encoding: .utf8)
            let check = """
                jq -j .proof.signature \(name).json > sig
                jq -cS 'del(.proof.signature)' \(name).json |
                  ssh-keygen -Y verify -f keys -I prod@ensign.invalid -n ensign-live -s sig
                """
            let good = try run("sh", ["-c", check], in: folder)
            #expect(good.status == 0, "\(name): \(good.errors)\(good.output)")
            let edited = String(decoding: bytes, as: UTF8.self).replacing(
                "\"environment\":\"prod\"",
                with: "\"environment\":\"dev\""
            )
            try edited.write(toFile: "\(folder)/\(name).json", atomically: true, encoding: .utf8)
            #expect(try run("sh", ["-c", check], in: folder).status != 0)
        }
    }

    @Test("One proof cannot stand for another: kind, agent, environment, namespace and key are held against it")
    func places() throws {
        let route = signer.sign(try Self.route(), entry: 9)
        let header = signer.sign(
            ["environment": "prod", "entry": ["seq": 9], "counts": ["agents": 1], "v": 1],
            entry: 9
        )
        let policy = signer.sign(["environment": "prod", "v": 1], entry: 9)
        #expect(refusal(header, .header) == nil)
        #expect(refusal(policy, .policy) == nil)
        for (bytes, file) in [(header, LiveProof.File.policy), (policy, .header), (route, .header), (route, .policy)] {
            #expect(refusal(bytes, file) == .otherFile)
        }
        #expect(refusal(header) == .otherFile)
        #expect(refusal(policy) == .otherAgent(nil))
        let other = AgentID(team: "support", name: "refund")
        #expect(refusal(route, .route(other)) == .otherAgent("support/refund-triage"))
        #expect(refusal(route, .route(Self.agent), "dev") == .otherEnvironment("prod"))
        let stranger = LiveSigner(2)
        #expect(refusal(route, keys: stranger.keys) == .wrongKey(signer.key.publicKey.fingerprint, isKnown: false))
        let elsewhere = LiveSigner(1, "dev").keys
        #expect(refusal(route, keys: elsewhere) == .wrongKey(signer.key.publicKey.fingerprint, isKnown: true))
        let git = LiveProof.sign(try Self.route().members, entry: 9) { signer.signature($0, namespace: "git") }
        #expect(refusal(git) == .wrongNamespace("git"))
        #expect(refusal(try Self.route().bytes) == .unsigned)
    }

    @Test("Another spelling of what was signed is refused, whatever it says")
    func spelling() throws {
        let text = String(decoding: signer.sign(try Self.route(), entry: 9), as: UTF8.self)
        let variants = [
            text.replacing("\"weight\":100", with: "\"weight\":1e2"), String(text.dropLast()), text + "\n", " " + text,
            text.replacing("\"phase\":\"stable\"", with: "\"phase\":\"stable\",\"phase\":\"stable\""),
            text.replacing("\"phase\"", with: "\"\\u0070hase\""), text.replacing(",\"phase\"", with: ", \"phase\""), "",
            "[]\n",
        ]
        for variant in variants {
            guard case .unreadable = refusal(Array(variant.utf8)) else {
                Issue.record("taken: \(variant)")
                continue
            }
        }
    }

    @Test("Not one changed byte of a signed file is taken for what was signed")
    func flipped() throws {
        let bytes = signer.sign(try Self.route(), entry: 9)
        for index in bytes.indices {
            for bit in [UInt8(1), 2, 0x20] {
                var changed = bytes
                changed[index] ^= bit
                #expect(refusal(changed) != nil, "byte \(index)")
            }
        }
        var random = SeededGenerator(for: "proof.flipped", standard: 7)
        for _ in rounds(2_000) {
            let changed = bytes.mutated(&random, hostile: Hostile.texts)
            #expect(changed == bytes || refusal(changed) != nil)
        }
    }

    @Test("Hostile values in a proof are refused, and end nothing")
    func hostile() throws {
        let bytes = signer.sign(try Self.route(), entry: 9)
        let value = try JSONValueOf(bytes)
        Hostile.variants(of: value, for: "proof.hostile") { variant in
            let changed = variant.canonicalBytes() + [0x0A]
            #expect(changed == bytes || refusal(changed) != nil)
            _ = RouteReading.read(changed, of: Self.agent, in: "prod", keys: signer.keys)
        }
    }

    @Test("What is not proven is never anything but halted")
    func halted() throws {
        let halted = Route(agent: Self.agent, environment: "prod", phase: .halted, targets: [])
        func read(_ bytes: [UInt8]) -> Result<RouteReading, LiveProof.Refusal> {
            RouteReading.read(bytes, of: Self.agent, in: "prod", keys: signer.keys)
        }
        #expect(read(halted.bytes) == .success(.halted(nil)))
        guard case .success(.halted(let proven?)) = read(signer.sign(halted, entry: 12)) else {
            Issue.record("a signed halt is a halt with a proof")
            return
        }
        #expect(proven.entry == 12)
        #expect(read(LiveSigner(2).sign(halted, entry: 12)) == .success(.halted(nil)))
        #expect(read(try Self.route().bytes) == .failure(.unsigned))
        guard case .success(.open(let route, _)) = read(signer.sign(try Self.route(), entry: 9)) else {
            Issue.record("a signed route is open")
            return
        }
        #expect(route == (try Self.route()))
        #expect(
            read(signer.sign(["agent": "support/refund-triage", "environment": "prod"], entry: 9)).failure?.code
                == "malformed"
        )
    }
}

@Suite("Keys of what is live")
struct LiveKeysTests {
    private let signer = LiveSigner(1)

    private func read(_ text: String) -> Result<LiveKeys, LiveKeys.Problems> { LiveKeys.read(Array(text.utf8)) }

    @Test("A key counts for the environments of its line, and for what is live")
    func lines() throws {
        let dev = LiveSigner(2, "dev")
        let former = LiveSigner(3)
        let keys = try read("# comment\n\n" + signer.line() + dev.line() + former.line(namespaces: "git")).get()
        #expect(keys.allow(signer.key.publicKey, in: "prod"))
        #expect(!keys.allow(signer.key.publicKey, in: "dev"))
        #expect(keys.allow(dev.key.publicKey, in: "dev"))
        #expect(!keys.allow(former.key.publicKey, in: "prod"), "a key that was handed over signs nothing live")
        #expect(keys.allow(fingerprint: signer.key.publicKey.fingerprint, in: "prod"))
    }

    @Test("A file with a line that cannot be followed is refused, with all that is wrong")
    func refused() {
        let line = signer.line()
        let bad = [
            "prod@ensign.invalid nonsense\n" + line,
            "prod@ensign.invalid valid-before=\"20300101\" \(signer.key.publicKey.line)\n",
            "prod@ensign.invalid cert-authority \(signer.key.publicKey.line)\n",
        ]
        for text in bad { #expect(read(text).failure?.all.count == 1, "\(text)") }
        #expect(read(bad[0] + bad[1]).failure?.all.count == 2)
        for text in ["", "# none\n", signer.line(namespaces: "git")] {
            #expect(read(text).failure?.all == [.noKey], "\(text)")
        }
    }
}

@Suite("Entries that were seen")
struct SeenEntriesTests {
    private let signer = LiveSigner(1)

    private func proven(_ entry: Int64, _ signer: LiveSigner) throws -> LiveProof.Proven {
        LiveProof.Proven(value: ["environment": "prod", "v": 1], entry: entry, key: signer.key.publicKey)
    }

    @Test("A route goes forward, each agent by itself")
    func forward() throws {
        var seen = SeenEntries()
        let (one, two) = (
            LiveProof.File.route(AgentID(team: "a", name: "one")), LiveProof.File.route(AgentID(team: "a", name: "two"))
        )
        func admit(_ entry: Int64, _ file: LiveProof.File) throws -> SeenEntries.Verdict {
            seen.admit(try proven(entry, signer), as: file, of: "prod", keys: signer.keys)
        }
        #expect(try admit(5, one) == .current)
        #expect(try admit(5, one) == .current)
        #expect(try admit(4, one) == .older(than: 5))
        #expect(try admit(1, two) == .current)
        #expect(try admit(7, one) == .current)
        #expect(try admit(5, one) == .older(than: 7))
        #expect(SeenEntries(json: seen.json) == seen)
    }

    @Test("The header goes forward by its entry; its time is its own business")
    func header() throws {
        var seen = SeenEntries()
        let next = LiveSigner(2)
        let both = LiveKeys(environment: "prod", keys: [signer.key.publicKey, next.key.publicKey])
        func admit(_ entry: Int64, _ signer: LiveSigner) throws -> SeenEntries.Verdict {
            seen.admit(try proven(entry, signer), as: .header, of: "prod", keys: both)
        }
        #expect(try admit(5, signer) == .current)
        #expect(try admit(5, next) == .current, "after a rotation the same entry is said with another key")
        #expect(try admit(4, next) == .older(than: 5))
    }

    @Test("What was seen under a key that is taken away does not count; while both stand, it does")
    func keys() throws {
        let next = LiveSigner(2)
        let file = LiveProof.File.route(AgentID(team: "a", name: "one"))
        var seen = SeenEntries()
        let both = LiveKeys(environment: "prod", keys: [signer.key.publicKey, next.key.publicKey])
        #expect(seen.admit(try proven(9, signer), as: file, of: "prod", keys: both) == .current)
        #expect(seen.admit(try proven(12, next), as: file, of: "prod", keys: both) == .current)
        #expect(seen.admit(try proven(12, signer), as: file, of: "prod", keys: both) == .older(than: 12))
        var anew = seen
        #expect(anew.admit(try proven(1, signer), as: file, of: "prod", keys: signer.keys) == .current)
        #expect(seen.admit(try proven(1, next), as: file, of: "prod", keys: next.keys) == .older(than: 12))
    }

    @Test("What was kept is read back or refused")
    func hostile() throws {
        let json: JSONValue = [
            "v": 1,
            "seen": [
                "fleet.json": ["entry": 3, "key": "SHA256:a"],
                "agents/a/b.json": ["entry": 1, "key": "SHA256:b"],
            ],
        ]
        #expect(SeenEntries(json: json)?.json == json)
        Hostile.variants(of: json, for: "seen.hostile") { _ = SeenEntries(json: $0) }
        #expect(SeenEntries(json: ["v": 2, "seen": [:]]) == nil)
    }
}

private func JSONValueOf(_ bytes: [UInt8]) throws -> JSONValue {
    let (value, _) = try LiveProof.withoutProof(bytes)
    var whole = value
    let object = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
    let proof = object?["proof"] as? [String: Any]
    whole["proof"] = ["entry": 9, "signature": .string(proof?["signature"] as? String ?? "")]
    return .object(whole)
}

extension Result {
    fileprivate var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
