import EnsignTestSupport
import Foundation
import Testing

/// What is live is believed by stock tools and by the clients, with the lines that `ensign keys` prints, and by nobody
/// else's.
@Suite struct ProofTests {
    private static let triage = "agents/support/triage.json"

    private func host() throws -> Host { try Host(fleet: FleetFixture()) }

    /// What a client says of an agent: 0 for a session, 4 for halted, 5 for what is not to be believed.
    private func clients(_ host: Host, _ keys: String, state: String? = nil) throws -> [Int32] {
        let arguments =
            [host.live(), "support/triage", "--key", "a", "--keys", keys] + (state.map { ["--state", $0] } ?? [])
        let clients = "\(packageRoot)/clients"
        return try [("python3", "\(clients)/python/ensign.py"), ("node", "\(clients)/javascript/ensign.mjs")].map {
            try run($0.0, [$0.1] + arguments, in: host.scratch.path).status
        }
    }

    private func lines(_ host: Host) throws -> String { try host.ensign("keys", "--env", "prod").output }

    @Test("jq and ssh-keygen verify each file of a host that changes")
    func stockTools() throws {
        let host = try host()
        let keys = try host.scratch.write("keys", try lines(host))
        let check = """
            set -e
            for file in fleet.json $(find agents -name '*.json'); do
              jq -j .proof.signature "$file" > "$1/sig"
              jq -cS 'del(.proof.signature)' "$file" |
                ssh-keygen -Y verify -f "$2" -I prod@ensign.invalid -n ensign-live -s "$1/sig"
            done
            """
        let result = try run("sh", ["-c", check, "sh", host.scratch.path, keys], in: host.live())
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect(result.output.split(separator: "\n").count == 3, "\(result.output)")
    }

    @Test(
        "The clients believe what the host publishes, a halt without its proof, and nothing that somebody else put there"
    )
    func edited() throws {
        let host = try host()
        let keys = try host.scratch.write("keys", try lines(host))
        let state = "\(host.scratch.path)/seen"
        let path = URL(fileURLWithPath: "\(host.live())/\(Self.triage)")
        let older = try Data(contentsOf: path)
        #expect(try clients(host, keys, state: state) == [0, 0])
        try host.push(FleetFixture.deploymentPath, "maximum: 100", "maximum: 90")
        let good = try Data(contentsOf: path)
        #expect(try clients(host, keys, state: state) == [0, 0])
        for bad in [
            older, Host.bare(good), Data(String(decoding: good, as: UTF8.self).replacing("1.0.0", with: "1.0.1").utf8),
        ] {
            try bad.write(to: path)
            #expect(try clients(host, keys, state: state) == [5, 5], "\(String(decoding: bad, as: UTF8.self))")
            #expect(try host.ensign("route", "support/triage", "--env", "prod", "--key", "a").status == 5)
            #expect(try host.ensign("drift", "--env", "prod", "--detailed-exitcode").status == 2)
            #expect(try host.ensign("reconcile", "--env", "prod", "--observe", "all").status == 0)
            #expect(try Data(contentsOf: path) == good)
        }
        #expect(try clients(host, keys, state: state) == [0, 0])
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "x").status == 0)
        #expect(try clients(host, keys, state: state) == [4, 4])
        try good.write(to: path)
        #expect(try clients(host, keys, state: state) == [5, 5], "the halt was signed, and is newer")
        #expect(try host.ensign("reconcile", "--env", "prod", "--observe", "all").status == 0)
        #expect(try clients(host, keys, state: state) == [4, 4])
        try host.expectSound()
    }

    @Test(
        "A key that readers were given before a rotation lets none of them stand; the old one opens nothing afterwards"
    )
    func rotation() throws {
        let host = try host()
        let old = try host.scratch.write("old", try lines(host))
        let prepared = try host.ensign("keys", "--env", "prod", "--prepare")
        #expect(prepared.status == 0 && prepared.output.contains("namespaces=\"ensign-live\""))
        let both = try host.scratch.write("both", try lines(host))
        #expect(try lines(host).hasSuffix(prepared.output) && clients(host, both) == [0, 0])
        let rotated = try host.ensign("keys", "--env", "prod", "--rotate")
        #expect(rotated.status == 0 && rotated.errors.contains("signed 2 routes anew"), "\(rotated.errors)")
        #expect(try clients(host, both) == [0, 0])
        #expect(try clients(host, old) == [5, 5])
        let new = try host.scratch.write("new", try lines(host))
        #expect(try clients(host, new) == [0, 0])
        #expect(try lines(host).split(separator: "\n").map { $0.contains("ensign-live") } == [false, true])
        try host.expectSound()
        #expect(try host.ensign("reconcile", "--env", "prod").errors.contains("nothing to do"))
    }

    @Test("A key is prepared or taken over, and not both at once")
    func prepareOrRotate() throws {
        let host = try Host(fleet: FleetFixture())
        let result = try host.ensign("keys", "--env", "prod", "--prepare", "--rotate")
        #expect(result.status == 64 && result.errors.contains("--prepare and --rotate exclude each other"))
        #expect(!host.scratch.exists("fleet.git/ensign/keys/prod.next"))
    }
}
