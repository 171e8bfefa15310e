import EnsignCrypto
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("Who may sign, as validation sees it")
struct TrustTests {
    private static let key = SSHPrivateKey.generate().publicKey.line
    private static let hint =
        "  hint: the ledger says 'unknown-key' or 'unsupported' of commits that it should vouch for"

    private func check(_ lines: String...) -> String {
        var fleet = FleetFixture()
        fleet[RepositoryPath.allowedSigners] = lines.joined(separator: "\n") + "\n"
        return fleet.check(only: RepositoryPath.allowedSigners)
    }

    /// A key of a type, whose contents nobody reads.
    private func key(_ type: String) -> String {
        "\(type) \(Base64.encode([0, 0, 0, UInt8(type.utf8.count)] + Array(type.utf8) + [0, 0, 0, 1, 7]))"
    }

    @Test("A line by which a signature can be good is not a finding, whatever the type of its key")
    func useful() {
        let types = ["ssh-rsa", "ecdsa-sha2-nistp521", "sk-ecdsa-sha2-nistp256@openssh.com", "ssh-dss"]
        #expect(check("ada@example.com \(Self.key)", "*,!eve@example.com \(Self.key)", "# nobody") == "")
        for type in types { #expect(check("ada@example.com cert-authority \(key(type))") == "") }
    }

    @Test("A line by which no signature will ever be good is a warning, at its place")
    func useless() {
        #expect(
            check("# first", "!* \(Self.key)") == """
                fleet/trust/allowed_signers:2:1: warning: the line names nobody: its own principals exclude each other [useless-signer]
                \(Self.hint)
                """
        )
        for type in ["ssh-foo", "ssh-ed25519-cert-v01@openssh.com", "x"] {
            #expect(
                check("ada@example.com \(key(type))") == """
                    fleet/trust/allowed_signers:1:1: warning: signatures by a key of type '\(type)' cannot be checked [useless-signer]
                    \(Self.hint)
                    """
            )
        }
    }
}
