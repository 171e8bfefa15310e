import EnsignTestSupport
import Foundation
import Testing

/// A real sshd with keys and a configuration of its own, which serves one connection and ends with it.
///
/// It runs as inetd would start it, behind ssh's `ProxyCommand`: no port is taken, no daemon is left, and what holds the
/// connection is the push itself.
private struct SSHServer {
    private let scratch: ScratchDirectory
    private let program: String

    private static let program: String? = {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let folders: [String] = path.split(separator: ":").map(String.init) + ["/usr/sbin"]
        return folders.map { "\($0)/sshd" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    /// Whether there is an sshd that starts here. As root it wants `/run/sshd`, which it gets in a mount namespace of its
    /// own: nothing of the machine is touched.
    static let isPossible: Bool = {
        guard let scratch = try? ScratchDirectory(), let server = try? SSHServer(in: scratch) else { return false }
        return (try? run("sh", [server.script, "-t"], in: scratch.path).status) == 0
    }()

    private var script: String { "\(scratch.path)/sshd.sh" }

    init?(in scratch: ScratchDirectory) throws {
        guard let program = Self.program else { return nil }
        self.scratch = scratch
        self.program = program
        for name in ["host", "client"] {
            let arguments = ["-q", "-t", "ed25519", "-N", "", "-f", "\(scratch.path)/\(name)_key"]
            guard try run("ssh-keygen", arguments, in: scratch.path).status == 0 else { return nil }
        }
        try scratch.write("authorized_keys", try scratch.read("client_key.pub"))
        try scratch.write("known_hosts", "fleet \(try scratch.read("host_key.pub"))")
        let configuration = try scratch.write(
            "sshd_config",
            """
            HostKey \(scratch.path)/host_key
            AuthorizedKeysFile \(scratch.path)/authorized_keys
            PidFile none
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            PermitRootLogin prohibit-password
            SetEnv GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

            """
        )
        let command = "\(program) -e -f \(configuration) \"$@\""
        try scratch.write(
            "sshd.sh",
            """
            [ "$(id -u)" = 0 ] || exec \(command)
            exec unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \(command)' sh "$@"

            """
        )
    }

    /// Git's environment for pushing to this server.
    var environment: [String: String] {
        let options = [
            "IdentityFile=\(scratch.path)/client_key", "IdentitiesOnly=yes", "HostKeyAlias=fleet", "BatchMode=yes",
            "UserKnownHostsFile=\(scratch.path)/known_hosts", "GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR",
            "StrictHostKeyChecking=yes", "ProxyCommand=sh \(script) -i 2>>\(scratch.path)/sshd.log",
        ]
        return ["GIT_SSH_COMMAND": "ssh -F none " + options.map { "-o '\($0)'" }.joined(separator: " ")]
    }

    var log: String { (try? scratch.read("sshd.log")) ?? "" }
}

/// What people see when they push over ssh, where PATH is short and nothing of their own environment arrives.
@Suite(.enabled(if: SSHServer.isPossible, "there is no sshd that can be started here"))
struct SSHTests {
    @Test("Over ssh a good commit is live when the push returns, a bad one is refused, and both say so line by line")
    func push() throws {
        let host = try Host(fleet: FleetFixture(), pushes: false)
        let server = try #require(try SSHServer(in: host.scratch))
        try host.git("remote", "set-url", "origin", "ssh://fleet\(host.bare)")
        func push() throws -> CommandResult {
            try run("git", ["push", "-q", "origin", "main"], in: host.work, environment: server.environment)
        }
        let first = try push()
        try #require(first.status == 0, "\(first.errors)\(server.log)")
        #expect(first.errors.contains("remote: prod: support/triage created 1.0.0"))
        #expect(first.errors.contains("remote: prod: converged, recorded as entry 2"))
        try host.expectSound()

        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximun: 100")
        try host.git("commit", "-q", "-a", "-m", "A slip of the pen")
        let bad = try push()
        #expect(bad.status != 0)
        #expect(bad.errors.contains("remote: \(FleetFixture.deploymentPath):"))
        #expect(bad.errors.contains("remote:   hint: did you mean 'maximum'?"))
        #expect(bad.errors.contains("remote: main: refused: 1 error"))
        #expect(try host.kinds().count == 3)

        try host.edit(FleetFixture.deploymentPath, "maximun: 100", "maximum: 90")
        try host.git("commit", "-q", "-a", "-m", "As it was meant")
        let good = try push()
        #expect(good.status == 0)
        #expect(good.errors.contains("remote: prod: support/triage updated 1.0.0"))
        try host.expectSound()
    }

    @Test("Over ssh too the ledger is fetched by everybody and pushed by nobody")
    func ledger() throws {
        let host = try Host(fleet: FleetFixture())
        let server = try #require(try SSHServer(in: host.scratch))
        let url = "ssh://fleet\(host.bare)"
        let refs = "refs/ensign/ledger/*:refs/ensign/ledger/*"
        let fetch = try run("git", ["fetch", "-q", url, refs], in: host.work, environment: server.environment)
        #expect(fetch.status == 0, "\(fetch.errors)\(server.log)")
        #expect(try host.ensignInWork("verify").output.contains("prod: intact, 3 entries"))
        let push = try run(
            "git",
            ["push", "-q", "--force", url, "HEAD:refs/ensign/ledger/prod"],
            in: host.work,
            environment: server.environment
        )
        #expect(push.status != 0)
        #expect(push.errors.contains("hidden ref"), "\(push.errors)")
    }
}
