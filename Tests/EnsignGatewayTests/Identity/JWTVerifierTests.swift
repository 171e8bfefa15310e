import EnsignCrypto
import EnsignGateway
import EnsignJSON
import EnsignModel
import EnsignSystem
import Testing

@Suite("Tokens of identity providers")
struct JWTVerifierTests {
    private static let vectors: JSONValue = {
        let folder = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let bytes = (try? Files.read("/\(folder)/Vectors/tokens.json", limit: 1 << 20)) ?? []
        return (try? JSONParser.parse(bytes)) ?? .null
    }()

    private var issuer: TokenIssuer {
        get throws {
            TokenIssuer(
                issuer: try #require(Self.vectors["issuer"]?.string),
                audience: try #require(Self.vectors["audience"]?.string),
                keys: try TokenKeys(try #require(Self.vectors["keys"]).canonicalBytes())
            )
        }
    }

    @Test("A token counts exactly if a key of its issuer made it, with the key's own algorithm, for this audience, now")
    func vectors() throws {
        let tokens = try #require(Self.vectors["tokens"]?.array)
        let now = Timestamp(seconds: try #require(Self.vectors["now"]?.int))
        #expect(tokens.count > 20)
        for token in tokens {
            let expected = try #require(token["expect"]?.string)
            let found: String
            do {
                let claims = try JWTVerifier.verify(try #require(token["token"]?.string), issuers: [issuer], now: now)
                #expect(claims.subject == "crm-hygiene")
                found = "good"
            } catch let refusal as JWTVerifier.Refusal {
                found = name(refusal)
            }
            let rule = token["rule"]?.string ?? ""
            #expect(found == expected, "\(rule)")
        }
    }

    private func name(_ refusal: JWTVerifier.Refusal) -> String {
        switch refusal {
        case .malformed: "malformed"
        case .algorithm: "algorithm"
        case .unknownIssuer: "unknownIssuer"
        case .wrongAudience: "wrongAudience"
        case .badSignature: "badSignature"
        case .expired: "expired"
        case .notYet: "notYet"
        case .missing: "missing"
        }
    }

    @Test(
        "A key's name, and each audience, must be a text",
        arguments: [
            (#"{"alg":"EdDSA","kid":1}"#, #""ensign""#), (#"{"alg":"EdDSA","kid":null}"#, #""ensign""#),
            (#"{"alg":"EdDSA","kid":["d"]}"#, #""ensign""#), (#"{"alg":"EdDSA"}"#, #"["ensign",1]"#),
            (#"{"alg":"EdDSA"}"#, #"[null,"ensign"]"#), (#"{"alg":"EdDSA"}"#, #"[["ensign"]]"#),
            (#"{"alg":"EdDSA"}"#, "1"),
            (#"{"alg":"EdDSA"}"#, #"{"ensign":true}"#),
        ]
    )
    func texts(_ header: String, _ audience: String) throws {
        func refusal(_ header: String, _ audience: String) throws -> String {
            let claims = #"{"iss":"\#(try issuer.issuer)","sub":"crm-hygiene","exp":4000000000,"aud":\#(audience)}"#
            let parts = [header, claims, "no signature"].map { Base64.encode(Array($0.utf8), padding: .url) }
            do {
                _ = try JWTVerifier.verify(
                    parts.joined(separator: "."),
                    issuers: [issuer],
                    now: Timestamp(seconds: 1_950_000_000)
                )
                return "good"
            } catch let refusal as JWTVerifier.Refusal { return name(refusal) }
        }
        #expect(try refusal(header, audience) == "malformed")
        #expect(try refusal(#"{"alg":"EdDSA","kid":"d"}"#, #"["a","b"]"#) == "badSignature", "nothing else is wrong")
    }

    @Test("Of a key set only keys that can be used are: no symmetric ones, none for encryption, none below 2048 bits")
    func keySet() throws {
        #expect(try issuer.keys.keys.map(\.name) == ["r", "e", "d"])
        #expect(throws: TokenKeys.ReadingFailure.noKey) { try TokenKeys(Array(#"{"keys":[]}"#.utf8)) }
        #expect(throws: TokenKeys.ReadingFailure.self) { try TokenKeys(Array("[]".utf8)) }
    }

    @Test("Any text is refused with a reason, and none ends the process", arguments: 0..<300)
    func hostile(_ seed: Int) throws {
        var generator = SystemRandomNumberGenerator()
        let token = try #require(Self.vectors["tokens"]?[seed % 9]?["token"]?.string)
        var bytes = Array(token.utf8)
        for _ in 0..<(1 + seed % 3) {
            bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text != token else { return }
        #expect(throws: JWTVerifier.Refusal.self, "\(text)") {
            try JWTVerifier.verify(text, issuers: [issuer], now: Timestamp(seconds: 1_950_000_000))
        }
    }
}
