import EnsignCrypto
import EnsignGateway
import EnsignJSON
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Testing

@Suite("Who may speak for which agent")
struct AdmissionTests {
    private let scratch: ScratchDirectory
    private let admission: Admission
    private let vectors: JSONValue

    init() throws {
        scratch = try ScratchDirectory()
        let bytes = try #require(try packageFiles(below: "Tests/Vectors")["Tests/Vectors/tokens.json"])
        let vectors = try JSONParser.parse(bytes)
        self.vectors = vectors
        try scratch.write("jwks.json", bytes: try #require(vectors["keys"]).canonicalBytes())
        func digest(_ token: String) -> String { SHA256.hex(of: Array(token.utf8)) }
        let text = """
            apiVersion: ensign.dev/v1
            kind: Gateway
            spec:
              live: /srv/live
              keys: /etc/keys
              state: /var/state
              upstreams: {}
              agents:
                - {agent: support/triage, tokenSHA256: \(digest("t-triage")), principal: svc@example.com}
                - {agent: support/other, tokenSHA256: \(digest("t-other"))}
                - {agent: it/one, uid: 1007}
                - {agent: it/two, uid: 1007}
                - {agent: it/three, uid: 1008}
                - {agent: sales/crm, jwt: {issuer: "https://idp.example.com", audience: ensign, subject: crm-hygiene, keys: \(scratch.path)/jwks.json}}

            """
        let read = GatewayFile.read(Array(text.utf8), path: "/etc/gateway.yaml")
        let file = try #require(read.file, "\(read.findings)")
        let now = Timestamp(seconds: try #require(vectors["now"]?.int))
        admission = Admission(file, keys: KeyShelf(), clock: { now })
    }

    private func admitted(_ proof: Peer.Proof, _ name: String? = nil) -> String? {
        admission.admit(Peer(proof, agent: name.map { agent($0) }))?.agent.description
    }

    @Test("A token proves its agent, and no other one, whatever its owner says")
    func tokens() {
        #expect(admitted(.bearer("t-triage")) == "support/triage")
        #expect(admitted(.bearer("t-triage"), "support/triage") == "support/triage")
        #expect(admitted(.bearer("t-triage"), "support/other") == nil)
        for token in [nil, "", "t-tri", "T-triage", "t-triage ", String(repeating: "t", count: 100_000)] {
            #expect(admitted(.bearer(token)) == nil)
        }
        #expect(admission.admit(Peer(.bearer("t-triage")))?.principal == "svc@example.com")
    }

    @Test("An account proves its agents; one that has several says which")
    func accounts() {
        #expect(admitted(.account(uid: 1_008, token: nil)) == "it/three")
        #expect(admitted(.account(uid: 1_007, token: nil)) == nil)
        #expect(admitted(.account(uid: 1_007, token: nil), "it/two") == "it/two")
        #expect(admitted(.account(uid: 1_007, token: nil), "it/three") == nil)
        #expect(admitted(.account(uid: 0, token: nil), "it/three") == nil, "root is nobody's agent")
    }

    @Test("Beside an account a token decides, and one that is no good is not forgiven")
    func tokenOnSocket() {
        #expect(admitted(.account(uid: 1_008, token: "t-other")) == "support/other")
        #expect(admitted(.account(uid: 1_008, token: "wrong")) == nil)
    }

    @Test("A token of an identity provider proves the agent of its subject, as long as its keys are the provider's")
    func identityProvider() throws {
        for vector in try #require(vectors["tokens"]?.array) {
            let isGood = vector["expect"]?.string == "good"
            let found = admitted(.bearer(vector["token"]?.string))
            #expect(found == (isGood ? "sales/crm" : nil), "\(vector["rule"]?.string ?? "")")
        }
        // A token that was good is not, once its key is taken back.
        let good = try #require(vectors["tokens"]?.array?.first { $0["expect"]?.string == "good" }?["token"]?.string)
        #expect(admitted(.bearer(good)) == "sales/crm")
        try scratch.write("jwks.json", #"{"keys": []}"#)
        #expect(admitted(.bearer(good)) == nil)
    }

    @Test("A run and a key are passed on as the client's word")
    func words() {
        var peer = Peer(.bearer("t-triage"), run: RunName("r", .header), key: "k", asked: "jwt")
        let session = admission.admit(peer)
        #expect(session?.run?.name == "r" && session?.key == "k" && session?.asked == "jwt")
        peer.proof = .bearer("wrong")
        #expect(admission.admit(peer) == nil)
    }
}
