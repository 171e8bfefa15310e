import EnsignCrypto
import EnsignGit
import EnsignLedger
import EnsignModel
import EnsignSystem
import EnsignTestSupport
import Foundation
import Testing

@testable import EnsignHost

/// Whatever the kind of the key and however odd the list: Ensign says of a commit what git says of it, with the list of
/// that commit.
@Suite("Signatures of source commits", .serialized)
struct SignatureMatrixTests {
    private let scratch: ScratchRepository
    private let site: Site

    init() throws {
        scratch = try ScratchRepository()
        site = try Site(Repository.Opening(path: scratch.path))
    }

    /// Keys that ssh-keygen makes, and two of FIDO tokens that openssl plays.
    enum Kind: String, CaseIterable, Sendable {
        case ed25519, rsa, ecdsa256, ecdsa384, ecdsa521, dsa, tokenEd25519, tokenECDSA
        case certificateEd25519, certificateRSA

        var arguments: [String]? {
            switch self {
            case .ed25519, .certificateEd25519: ["-t", "ed25519"]
            case .rsa, .certificateRSA: ["-t", "rsa", "-b", "2048"]
            case .ecdsa256: ["-t", "ecdsa", "-b", "256"]
            case .ecdsa384: ["-t", "ecdsa", "-b", "384"]
            case .ecdsa521: ["-t", "ecdsa", "-b", "521"]
            case .dsa: ["-t", "dsa"]
            case .tokenEd25519, .tokenECDSA: nil
            }
        }

        var isCertificate: Bool { self == .certificateEd25519 || self == .certificateRSA }
    }

    // MARK: Keys

    /// A key with what signs by it.
    private struct Key {
        /// Type and base64, as a list has it; of a certificate the authority's.
        var line: String
        /// Signs bytes in a namespace.
        var sign: (_ payload: [UInt8], _ namespace: String) throws -> String
    }

    private func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = "\(scratch.path)/\(name)"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func ask(_ program: String, _ arguments: [String]) throws -> CommandResult {
        try run(program, arguments, in: scratch.path)
    }

    private func fields(_ path: String) throws -> String {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: " ").prefix(2).joined(separator: " ")
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// - Parameter touched: Of a token: whether a person was there.
    /// - Returns: nil when this machine cannot make such a key.
    private func key(_ kind: Kind, touched: Bool = true, principals: String = "a@example.com") throws -> Key? {
        guard let arguments = kind.arguments else { return try token(kind, touched: touched) }
        let path = "\(scratch.path)/\(kind)-\(UInt32.random(in: 0 ... .max))"
        guard try ask("ssh-keygen", ["-q", "-N", "", "-f", path] + arguments).status == 0 else { return nil }
        var (line, signing) = (try fields("\(path).pub"), path)
        if kind.isCertificate {
            let authority = path + "-ca"
            _ = try ask("ssh-keygen", ["-q", "-N", "", "-t", "ed25519", "-f", authority])
            let signed = try ask("ssh-keygen", ["-q", "-s", authority, "-I", "ada", "-n", principals, "\(path).pub"])
            try #require(signed.status == 0, "\(signed.errors)")
            line = try fields("\(authority).pub")
            signing = path + "-cert.pub"
        }
        return Key(line: line) { payload, namespace in
            let message = try file("message", payload)
            try? FileManager.default.removeItem(atPath: message + ".sig")
            let result = try ask("ssh-keygen", ["-q", "-Y", "sign", "-n", namespace, "-f", signing, message])
            try #require(result.status == 0, "\(result.errors)")
            return try String(contentsOfFile: message + ".sig", encoding: .utf8)
        }
    }

    private func wire(_ parts: [UInt8]...) -> [UInt8] {
        parts.flatMap { part in
            (0..<4).reversed().map { UInt8(truncatingIfNeeded: part.count >> ($0 * 8)) } + part
        }
    }

    private func wire(_ texts: String...) -> [UInt8] { texts.flatMap { wire(Array($0.utf8)) } }

    /// A key of a FIDO token (PROTOCOL.u2f), whose part openssl plays.
    private func token(_ kind: Kind, touched: Bool) throws -> Key? {
        let isEd25519 = kind == .tokenEd25519
        let pem = "\(scratch.path)/\(kind).pem"
        let algorithm = isEd25519 ? ["ed25519"] : ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        guard try ask("openssl", ["genpkey", "-out", pem, "-algorithm"] + algorithm).status == 0 else { return nil }
        let der = pem + ".der"
        guard try ask("openssl", ["pkey", "-in", pem, "-pubout", "-outform", "DER", "-out", der]).status == 0 else {
            return nil
        }
        let point = try Array(Data(contentsOf: URL(fileURLWithPath: der)).suffix(isEd25519 ? 32 : 65))
        let type = isEd25519 ? "sk-ssh-ed25519@openssh.com" : "sk-ecdsa-sha2-nistp256@openssh.com"
        let blob = wire(type) + (isEd25519 ? [] : wire("nistp256")) + wire(point) + wire("ssh:")
        return Key(line: "\(type) \(Base64.encode(blob))") { payload, namespace in
            let signed = Array("SSHSIG".utf8) + wire(namespace, "", "sha512") + wire(SHA512.digest(of: payload))
            let flags: [UInt8] = [touched ? 1 : 0, 0, 0, 0, 7]
            let asked = SHA256.digest(of: Array("ssh:".utf8)) + flags + SHA256.digest(of: signed)
            let (input, output) = (try file("asked", asked), "\(scratch.path)/answer")
            let result =
                isEd25519
                ? try ask("openssl", ["pkeyutl", "-sign", "-rawin", "-inkey", pem, "-in", input, "-out", output])
                : try ask("openssl", ["dgst", "-sha256", "-sign", pem, "-out", output, input])
            try #require(result.status == 0, "\(result.errors)")
            let raw = try Array(Data(contentsOf: URL(fileURLWithPath: output)))
            let inner = wire(type) + wire(isEd25519 ? raw : numbers(raw)) + flags
            let whole =
                Array("SSHSIG".utf8) + [0, 0, 0, 1] + wire(blob) + wire(namespace, "", "sha512") + wire(inner)
            return "-----BEGIN SSH SIGNATURE-----\n\(Base64.encode(whole))\n-----END SSH SIGNATURE-----\n"
        }
    }

    /// The two numbers of a DER signature as SSH has them.
    private func numbers(_ der: [UInt8]) -> [UInt8] {
        let first = Array(der[4..<4 + Int(der[3])])
        let rest = der[(4 + first.count)...]
        return wire(first, Array(rest.dropFirst(2)))
    }

    // MARK: Commits

    /// Makes a commit with a list of signers, and the signature headers that `signature` gives for its bytes.
    private func commit(
        _ list: String?,
        at time: Int64 = 1_790_000_000,
        _ headers: (_ payload: [UInt8]) throws -> [String]
    )
        throws -> ObjectID
    {
        let repository = scratch.repository
        var writer = ObjectWriter(repository)
        var files: [String: ObjectID?] = ["a": try writer.write([1], .blob)]
        if let list { files[RepositoryPath.allowedSigners] = try writer.write(Array(list.utf8), .blob) }
        let tree = try #require(try writer.tree(nil, edits: files))
        let person = "Ada <ada@example.com> \(time) +0000"
        let (head, message) = ("tree \(tree)\nauthor \(person)\ncommitter \(person)\n", "\nA change\n")
        var text = head
        for header in try headers(Array((head + message).utf8)) {
            let lines = header.split(separator: "\n", omittingEmptySubsequences: true)
            text += "gpgsig " + lines.joined(separator: "\n ") + "\n"
        }
        return try writer.write(Array((text + message).utf8), .commit)
    }

    /// Whether git calls the commit's signature good, with the same list.
    private func gitSaysGood(_ commit: ObjectID, _ list: String?) throws -> Bool {
        let path = try file("allowed", Array((list ?? "").utf8))
        return try run(
            "git",
            ["--git-dir", scratch.path, "-c", "gpg.ssh.allowedSignersFile=\(path)", "verify-commit", "\(commit)"],
            in: scratch.path
        ).status == 0
    }

    private func expectAgreement(
        _ commit: ObjectID,
        _ list: String?,
        _ what: String,
        isGood: Bool? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let (git, ensign) = (try gitSaysGood(commit, list), try state(commit))
        #expect((ensign == .good) == git, "\(what): git says \(git), Ensign \(ensign)", sourceLocation: sourceLocation)
        #expect(ensign != .unsupported && ensign != .none, "\(what)", sourceLocation: sourceLocation)
        if let isGood { #expect(git == isGood, "\(what)", sourceLocation: sourceLocation) }
    }

    private func state(_ commit: ObjectID) throws -> Entry.SignatureState {
        try SourceInspector.inspect(commit, in: site).signature
    }

    // MARK: Rules

    @Test("Every kind of key is listed, not listed, wrong or out of its time as git has it", arguments: Kind.allCases)
    func kinds(_ kind: Kind) throws {
        guard let key = try key(kind), let other = try self.key(.ed25519) else { return }
        let listed = "a@example.com \(kind.isCertificate ? "cert-authority " : "")\(key.line)\n"
        let option = { (text: String) in
            listed.replacing(
                kind.isCertificate ? "cert-authority " : "com ",
                with: "\(kind.isCertificate ? "cert-authority," : "com ")\(text) ",
                maxReplacements: 1
            )
        }
        let good = { (payload: [UInt8]) in [try key.sign(payload, "git")] }
        try expectAgreement(commit(listed, good), listed, "listed", isGood: true)
        #expect(try state(commit("b@example.com \(other.line)\n", good)) == .unknownKey)
        #expect(try state(commit(nil, good)) == .unknownKey)
        #expect(try state(commit(listed) { [try key.sign($0 + [1], "git")] }) == .bad)
        #expect(try state(commit(listed) { [try key.sign($0, "file")] }) == .bad)
        for (text, isGood) in [
            ("namespaces=\"git\"", true), ("namespaces=\"file\"", false), ("namespaces=\"fi*,g?t\"", true),
            ("valid-after=\"20200101Z\"", true), ("valid-after=\"20300101Z\"", false),
            ("valid-before=\"20200101Z\"", false), ("valid-before=\"20300101\"", true),
        ] {
            try expectAgreement(commit(option(text), good), option(text), text, isGood: isGood)
        }
        let touch = try #require(try self.key(kind, touched: false))
        let list = listed.replacing(key.line, with: touch.line)
        try expectAgreement(commit(list) { [try touch.sign($0, "git")] }, list, "without a touch", isGood: true)
    }

    @Test(
        "A certificate signs for its principals alone, and only under cert-authority",
        arguments: [Kind.certificateRSA]
    )
    func certificates(_ kind: Kind) throws {
        let key = try #require(try key(kind, principals: "a@example.com,b@example.com"))
        for list in [
            "a@example.com cert-authority \(key.line)", "*@example.com cert-authority \(key.line)",
            "c@example.com cert-authority \(key.line)", "a@example.com \(key.line)", "!* cert-authority \(key.line)",
        ] {
            try expectAgreement(commit(list) { [try key.sign($0, "git")] }, list, list)
        }
    }

    @Test("Odd lists mean what they mean to git", arguments: [Kind.ed25519, .ecdsa256])
    func lists(_ kind: Kind) throws {
        let (key, other) = (try #require(try key(kind)), try #require(try self.key(.ed25519)))
        let line = key.line
        for list in [
            "!* \(line)", "* \(line)", "!b@example.com,* \(line)", "!*,a@example.com \(line)",
            "a@example.com,!* \(line)",
            "\"a b@example.com\" \(line)", "a@example.com,,b@example.com \(line)", ",a@example.com \(line)",
            "?@example.com \(line)", "a@example.com \(line) comment # more", "# a@example.com \(line)", "",
            "\t a@example.com \t \(line)", "a@example.com \(line)\r", "\n\na@example.com \(line)",
            "a@example.com valid-after=\"19000101Z\" \(line)", "a@example.com valid-after=\"19700101Z\" \(line)",
            "a@example.com valid-before=\"20300231Z\" \(line)", "a@example.com valid-before=\"20260931Z\" \(line)",
            "a@example.com valid-before=\"20301301Z\" \(line)", "a@example.com valid-before=\"20300100Z\" \(line)",
            "a@example.com valid-before=\"20300101235961Z\" \(line)", "a@example.com valid-before=\"2030\" \(line)",
            "a@example.com valid-before=\"203001012460Z\" \(line)",
            "a@example.com valid-before=\"20300101utc\" \(line)",
            "a@example.com valid-after=\"20250101\",valid-before=\"20250101\" \(line)",
            "a@example.com Namespaces=\"git\",VALID-AFTER=\"20200101Z\" \(line)", "a@example.com frob \(line)",
            "a@example.com namespaces=git \(line)", "a@example.com namespaces=\"git \(line)",
            "a@example.com namespaces=\"\" \(line)", "a@example.com namespaces=\"!git,*\" \(line)",
            "a@example.com namespaces=\"git\",namespaces=\"git\" \(line)", "a@example.com cert-authority \(line)",
            "a@example.com bogus AAAA\na@example.com \(line)", "a@example.com\na@example.com \(line)",
            "a@example.com frob=\"1\" \(other.line)\na@example.com \(line)",
            "a@example.com namespaces=\"file\" \(line)\nb@example.com \(line)",
            "a@example.com namespaces=\"file\" \(line)\na@example.com \(line)",
            "a@example.com valid-before=\"20200101Z\" \(line)\nb@example.com \(line)",
            "!* \(line)\nb@example.com \(line)", "a@example.com \(other.line)\nb@example.com \(line)",
            "a@example.com \(line.split(separator: " ")[0]) \(other.line.split(separator: " ")[1])",
        ] {
            try expectAgreement(commit(list) { [try key.sign($0, "git")] }, list, list)
        }
    }

    @Test("Odd signatures mean what they mean to git", arguments: [Kind.ed25519, .rsa])
    func signatures(_ kind: Kind) throws {
        let key = try #require(try key(kind))
        let list = "a@example.com \(key.line)\n"
        let (begin, end) = ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----")
        let forms: [(String, (String, String) -> [String])] = [
            ("two headers, the first good", { [$0, $1] }), ("two headers, the second good", { [$1, $0] }),
            ("two good headers", { good, _ in [good, good] }),
            ("text after the end", { good, _ in [good + "more\nof it\n"] }),
            ("text right after the end", { good, _ in [good.replacing(end, with: end + "x")] }),
            ("text before the beginning", { good, _ in ["x\n" + good] }),
            ("another signature after the end", { [$0 + $1] }), ("another before it", { [$1 + $0] }),
            ("no end", { good, _ in [good.replacing(end, with: "")] }),
            ("a blank in the base64", { good, _ in [good.replacing("AAAA", with: "AA A\tA", maxReplacements: 1)] }),
            (
                "base64 in one line",
                { good, _ in
                    let body = good.split(separator: "\n").dropFirst().dropLast().joined()
                    return ["\(begin)\n\(body)\n\(end)"]
                }
            ),
            ("a stroke in the base64", { good, _ in [good.replacing("U1NI", with: "U1NI-", maxReplacements: 1)] }),
            ("nothing in it", { _, _ in ["\(begin)\n\(end)"] }),
            ("half of it", { good, _ in [String(good.prefix(200)) + "\n\(end)"] }),
            ("a carriage return", { good, _ in [good.replacing("\n", with: "\r\n")] }),
        ]
        for (what, form) in forms {
            let commit = try commit(list) { form(try key.sign($0, "git"), try key.sign($0 + [1], "git")) }
            try expectAgreement(commit, list, what)
        }
    }

    @Test("An OpenPGP signature is one of an unknown key, and no signature is none")
    func others() throws {
        let pgp = "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----"
        #expect(try state(commit("") { _ in [pgp] }) == .unknownKey)
        #expect(try state(commit("") { _ in [] }) == .none)
    }

    @Test("Without an ssh-keygen that can tell, the record says that nothing could be checked", arguments: 0..<4)
    func unsupported(_ trouble: Int) throws {
        let key = try #require(try key(.rsa))
        let listed = try commit("a@example.com \(key.line)\n") { [try key.sign($0, "git")] }
        var site = site
        site.runKeygen = { (process) throws(SystemError) in
            switch trouble {
            case 0: throw SystemError(code: ENOENT, operation: "start ssh-keygen")
            case 1:
                return Subprocess.Outcome(
                    status: 255,
                    output: [],
                    errors: Array("unknown option -- Y\nusage:".utf8),
                    timedOut: false
                )
            case 2: return Subprocess.Outcome(status: 143, output: [], errors: [], timedOut: true)
            default:
                let isFirst = process.arguments.contains("check-novalidate")
                if isFirst { return try process.run() }
                return Subprocess.Outcome(
                    status: 255,
                    output: [],
                    errors: Array("Invalid option".utf8),
                    timedOut: false
                )
            }
        }
        let source = try SourceInspector.inspect(listed, in: site)
        #expect(source.signature == .unsupported && source.signer?.hasPrefix("SHA256:") == true)
        // What libsodium checks needs nobody else.
        let own = try #require(try self.key(.ed25519))
        let commit = try commit("a@example.com \(own.line)\n") { [try own.sign($0, "git")] }
        #expect(try SourceInspector.inspect(commit, in: site).signature == .good)
    }

    @Test("What Ensign itself has signed with the ledger's present key is good, by no other key and for no other name")
    func own() throws {
        let key = try LedgerKey.create("prod", path: site.files.key("prod"))
        let other = try LedgerKey.create("prod", path: "\(scratch.path)/other")
        let parent = try scratch.commit(["a": "1"])
        func commit(_ environment: String, _ key: LedgerKey) throws -> ObjectID {
            var writer = ObjectWriter(scratch.repository)
            let signed = SignedCommit(
                tree: try scratch.repository.commit(parent).tree,
                parent: parent,
                environment: environment,
                time: Timestamp(seconds: 1_790_000_000),
                message: "prod: roll back\n"
            )
            return try signed.write(&writer, signedBy: key)
        }
        #expect(try state(commit("prod", key)) == .good)
        #expect(try state(commit("prod", other)) == .unknownKey)
        #expect(try state(commit("dev", key)) == .unknownKey)
        try FileManager.default.removeItem(atPath: site.files.key("prod"))
        #expect(try state(commit("prod", key)) == .unknownKey)
    }

    @Test("Nothing is left behind")
    func leftovers() throws {
        let key = try #require(try key(.ecdsa256))
        #expect(try state(commit("a@example.com \(key.line)\n") { [try key.sign($0, "git")] }) == .good)
        #expect(try Files.list(site.files.scratch) == [])
    }
}
