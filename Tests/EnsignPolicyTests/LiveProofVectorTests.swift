import EnsignCrypto
import EnsignModel
import EnsignPolicy
import EnsignTestSupport
import Foundation
import Testing

/// Tests/Vectors/live-proof.json is shared with the clients: what one takes, all take.
@Suite("Proofs, as every client reads them")
struct LiveProofVectorTests {
    private let signer = LiveSigner(1)

    private struct Case {
        var name: String
        var file = LiveProof.File.route(LiveProofTests.agent)
        var environment = "prod"
        var text: String
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Lines for one reader: of this environment and of another, and of a key that was handed over.
    private var keys: String {
        signer.line() + LiveSigner(2, "dev").line() + LiveSigner(3).line(namespaces: "git") + "\n# the end\n"
    }

    private func cases() throws -> [Case] {
        let route = try LiveProofTests.route()
        let good = text(signer.sign(route, entry: 9))
        let header: JSONObject = [
            "counts": ["agents": 1], "entry": ["commit": .string(String(repeating: "0", count: 40)), "seq": 9],
            "environment": "prod", "heard": "2026-11-21T09:00:00Z", "v": 1,
        ]
        let other = AgentID(team: "support", name: "other")
        let halted = Route(agent: LiveProofTests.agent, environment: "prod", phase: .halted, targets: [])
        var later = route.members
        later["later"] = "\u{1F600} \u{7F} \u{E000} \u{2028} \\ \" \t \u{1}"
        later["\u{1F600}"] = 1
        later["\u{E000}"] = 2
        var odd = route.members
        odd["proof"] = ["entry": -1, "signature": "x"]
        let signature = try #require(good.firstMatch(of: /"signature":"[^"]*"/)).0
        return [
            Case(name: "a signed route", text: good),
            Case(name: "a signed halt", text: text(signer.sign(halted, entry: 12))),
            Case(name: "members of a later version, in the order of UTF-16", text: text(signer.sign(later, entry: 9))),
            Case(name: "a signed header", file: .header, text: text(signer.sign(header, entry: 9))),
            Case(name: "no proof", text: text(route.bytes)),
            Case(name: "no proof of a halt", text: text(halted.bytes)),
            Case(name: "another weight", text: good.replacing("100", with: "99")),
            Case(name: "another entry", text: good.replacing("\"entry\":9", with: "\"entry\":10")),
            Case(name: "another spelling of a number", text: good.replacing("100", with: "1e2")),
            Case(name: "a space", text: good.replacing(",\"phase\"", with: ", \"phase\"")),
            Case(name: "a member twice", text: good.replacing("\"phase\":", with: "\"phase\":\"stable\",\"phase\":")),
            Case(name: "no line feed", text: String(good.dropLast())),
            Case(name: "nothing", text: ""),
            Case(name: "an array", text: "[]\n"),
            Case(name: "half a file", text: String(good.prefix(300))),
            Case(
                name: "another agent's route",
                text: text(signer.sign(try LiveProofTests.route(agent: other), entry: 9))
            ),
            Case(
                name: "another environment's route, by its key",
                text: text(LiveSigner(2, "dev").sign(try LiveProofTests.route("a", "dev"), entry: 9))
            ),
            Case(
                name: "this environment's route, by another's key",
                text: text(LiveSigner(2, "dev").sign(route, entry: 9))
            ),
            Case(name: "by a key that was handed over", text: text(LiveSigner(3).sign(route, entry: 9))),
            Case(name: "by a stranger", text: text(LiveSigner(4).sign(route, entry: 9))),
            Case(
                name: "signed for git",
                text: text(LiveProof.sign(route.members, entry: 9) { signer.signature($0, namespace: "git") })
            ),
            Case(name: "a header in a route's place", text: text(signer.sign(header, entry: 9))),
            Case(name: "a route in the header's place", file: .header, text: good),
            Case(name: "a proof that is none", text: text(JSONValue.object(odd).canonicalBytes() + [0x0A])),
            Case(name: "a signature that is none", text: good.replacing(signature, with: "\"signature\":\"none\"")),
            Case(
                name: "a signature cut short",
                text: good.replacing(signature, with: signature.replacing("AAAA", with: ""))
            ),
        ]
    }

    private func vectors() throws -> JSONValue {
        let keys = try LiveKeys.read(Array(keys.utf8)).get()
        let cases = try cases().map { one -> JSONValue in
            let result = LiveProof.verify(Array(one.text.utf8), as: one.file, of: one.environment, keys: keys)
            let (verdict, entry) =
                switch result {
                case .success(let proven): ("proven", JSONValue.integer(proven.entry))
                case .failure(let refusal): (refusal.code, JSONValue.null)
                }
            return [
                "name": .string(one.name), "file": .string(one.file.path), "environment": .string(one.environment),
                "text": .string(one.text), "verdict": .string(verdict), "entry": entry,
            ]
        }
        return ["keys": .string(self.keys), "cases": .array(cases)]
    }

    @Test("Verdicts are those of the committed vectors")
    func committed() throws {
        let made = try vectors().prettyBytes() + [0x0A]
        let path = "\(packageRoot)/Tests/Vectors/live-proof.json"
        if ProcessInfo.processInfo.environment["ENSIGN_RECORD"] != nil {
            try Data(made).write(to: URL(fileURLWithPath: path))
        }
        #expect(FileManager.default.contents(atPath: path).map { Array($0) } == made)
    }

    @Test("Every verdict is among the vectors")
    func complete() throws {
        let verdicts = Set((try vectors()["cases"]?.array ?? []).compactMap { $0["verdict"]?.string })
        let all = [
            "proven", "unreadable", "unsigned", "malformed", "namespace", "key", "altered", "environment", "agent",
            "file",
        ]
        #expect(verdicts == Set(all))
    }
}
