import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignGateway

@Suite("Serving clients by HTTPS")
struct EncryptedFrontTests {
    private let gatekeeper = ScriptedGatekeeper()
    private let scratch: ScratchDirectory

    init() throws {
        _ = ignoresBrokenPipes
        scratch = try ScratchDirectory()
        try authority("ca")
        try authority("other")
        let names = "subjectAltName=DNS:gateway.test,DNS:*.many.test,IP:127.0.0.1"
        try certificate("server", by: "ca", names, "serverAuth")
        try certificate("client", by: "ca", "subjectAltName=DNS:client.test", "clientAuth")
        try certificate("stranger", by: "other", "subjectAltName=DNS:client.test", "clientAuth")
    }

    private func openssl(_ arguments: String...) throws {
        let outcome = try Subprocess("/usr/bin/openssl", arguments, directory: scratch.path).run()
        try #require(outcome.status == 0, "\(outcome.errorText)")
    }

    private func authority(_ name: String) throws {
        try openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=\(name)",
            "-keyout",
            "\(name).key",
            "-out",
            "\(name).pem"
        )
    }

    private func certificate(_ name: String, by authority: String, _ names: String, _ purpose: String) throws {
        try openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=\(name)",
            "-keyout",
            "\(name).key",
            "-out",
            "\(name).csr"
        )
        try scratch.write("\(name).ext", "\(names)\nextendedKeyUsage=\(purpose)\n")
        try openssl(
            "x509",
            "-req",
            "-in",
            "\(name).csr",
            "-CA",
            "\(authority).pem",
            "-CAkey",
            "\(authority).key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "\(name).ext",
            "-out",
            "\(name).pem"
        )
    }

    private func encryption(_ name: String = "server", authorities: String?) throws -> HTTPFront.Encryption {
        HTTPFront.Encryption(
            certificate: try scratch.read("\(name).pem"),
            key: try scratch.read("\(name).key"),
            authorities: try authorities.map { try scratch.read($0) }
        )
    }

    private func front(_ host: String = "127.0.0.1", authorities: String?) throws -> HTTPFront {
        try HTTPFront(
            ListeningSocket(host: host, port: 0),
            encryption: encryption(authorities: authorities),
            gatekeeper: gatekeeper,
            version: "0"
        )
    }

    /// The status of an answer; 0 for none.
    private func post(_ port: UInt16, _ host: String = "gateway.test", _ more: [String] = []) throws -> Int {
        let outcome = try Subprocess(
            "/usr/bin/curl",
            [
                "-s", "-o", "body", "-w", "%{http_code}", "--cacert", "ca.pem", "--resolve",
                "gateway.test:\(port):127.0.0.1",
                "-H", "Authorization: Bearer t0ken", "-H", "Content-Type: application/json", "-d",
                #"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "https://\(host):\(port)/mcp",
            ] + more,
            directory: scratch.path
        ).run()
        return Int(outcome.outputText) ?? 0
    }

    @Test(
        "a server is what its certificate says, or its address, and nothing else",
        arguments: ["127.0.0.1", "0.0.0.0"]
    )
    func names(host: String) throws {
        let front = try front(host, authorities: nil)
        #expect(try post(front.port) == 200)
        #expect(try read(Array(scratch.read("body").utf8))["result"] == [:])
        #expect(try post(front.port, "127.0.0.1") == 200)
        for (name, status) in [
            ("other.test", 403), ("other.test:\(front.port)", 403), ("sub.gateway.test", 403), ("127.0.0.2", 403),
            ("localhost.other.test", 403), ("0.0.0.0", 403), ("localhost", 200), ("127.0.0.1", 200),
            ("GATEWAY.test", 200), ("a.many.test", 200), ("a.b.many.test", 403), ("many.test", 403),
        ] {
            #expect(try post(front.port, "gateway.test", ["-H", "Host: \(name)"]) == status, "\(name)")
        }
        let other = ["-H", "Host: other.test", "-H", "Origin: https://other.test"]
        #expect(try post(front.port, "gateway.test", other) == 403)
        #expect(try post(front.port, "gateway.test", ["-H", "Origin: https://gateway.test:\(front.port)"]) == 200)
        #expect(try post(front.port, "gateway.test", ["-H", "Origin: http://gateway.test:\(front.port)"]) == 403)
        #expect(try post(front.port, "gateway.test", ["--tls-max", "1.1", "--tlsv1.0"]) == 0)
    }

    @Test("a server that listens on all addresses is the one at which a connection came in")
    func allAddresses() throws {
        try certificate("server", by: "ca", "subjectAltName=DNS:gateway.test", "serverAuth")
        let four = try front("0.0.0.0", authorities: nil)
        #expect(try post(four.port, "127.0.0.1", ["-k"]) == 200)
        #expect(try post(four.port, "127.0.0.1", ["-k", "-H", "Host: 127.0.0.2"]) == 403)
        // Not every machine has it.
        guard let six = try? front("::", authorities: nil) else { return }
        #expect(try post(six.port, "[::1]", ["-k"]) == 200)
        #expect(try post(six.port, "[::1]", ["-k", "-H", "Host: [0:0:0:0:0:0:0:1]"]) == 200)
        #expect(try post(six.port, "[::1]", ["-k", "-H", "Host: [::2]"]) == 403)
    }

    @Test("where the operator names an authority, a client has a certificate of it")
    func clients() throws {
        let front = try front(authorities: "ca.pem")
        #expect(try post(front.port) == 403)
        #expect(gatekeeper.seen.withLock { $0.peers.isEmpty })
        #expect(try post(front.port, "gateway.test", ["--cert", "client.pem", "--key", "client.key"]) == 200)
        #expect(
            try [0, 403].contains(
                post(front.port, "gateway.test", ["--cert", "stranger.pem", "--key", "stranger.key"])
            )
        )
        // Good for servers, not for clients.
        #expect(
            try [0, 403].contains(post(front.port, "gateway.test", ["--cert", "server.pem", "--key", "server.key"]))
        )
        #expect(gatekeeper.seen.withLock { $0.peers.count } == 1)
    }

    @Test("a certificate that is not its key's is not a server")
    func wrongKey() throws {
        try scratch.write("server.key", try scratch.read("client.key"))
        #expect(throws: SystemError.self) { _ = try front(authorities: nil) }
    }

    @Test("a renewed certificate, its key and its authorities count for connections that begin")
    func renewal() throws {
        let front = try front(authorities: "ca.pem")
        let friend = ["--cert", "client.pem", "--key", "client.key"]
        let stranger = ["--cert", "stranger.pem", "--key", "stranger.key"]
        #expect(try post(front.port, "gateway.test", friend) == 200)
        try certificate("next", by: "other", "subjectAltName=DNS:gateway.test,DNS:next.test", "serverAuth")
        #expect(front.renew(try encryption("next", authorities: "other.pem")))
        #expect(try post(front.port, "gateway.test", friend) == 0)
        let trusting = ["--cacert", "other.pem"]
        #expect(try [0, 403].contains(post(front.port, "gateway.test", friend + trusting)))
        #expect(try post(front.port, "gateway.test", stranger + trusting) == 200)
        #expect(try post(front.port, "gateway.test", stranger + trusting + ["-H", "Host: next.test"]) == 200)
        #expect(try post(front.port, "gateway.test", stranger + trusting + ["-H", "Host: a.many.test"]) == 403)
    }

    @Test("what does not fit is not taken, and the certificate before still counts")
    func badRenewal() throws {
        let front = try front(authorities: nil)
        let good = try encryption(authorities: nil)
        var bad = good
        bad.key = try scratch.read("client.key")
        #expect(!front.renew(bad))
        for text in ["", "nothing", String(good.certificate.dropLast(80))] {
            bad = good
            bad.certificate = text
            #expect(!front.renew(bad))
        }
        #expect(!front.renew(try encryption(authorities: "ca.pem")))
        #expect(try post(front.port) == 200)
        front.stop()
        #expect(!front.renew(good))
    }
}
