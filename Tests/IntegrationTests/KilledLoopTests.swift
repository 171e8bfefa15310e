import EnsignTestSupport
import Foundation
import Testing

/// `ensign dev` that is killed: what it started ends, and the next one removes what it left.
@Suite struct KilledLoopTests {
    private let host: Host
    private let temporary: String

    init() throws {
        host = try Host(fleet: FleetFixture())
        temporary = "\(host.scratch.path)/tmp"
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        try host.scratch.write(
            "work/gateway.yaml",
            """
            apiVersion: ensign.dev/v1
            kind: Gateway
            spec:
              listen: {socket: \(host.scratch.path)/s}
              agents: [{agent: support/triage, uid: \(getuid())}]
              upstreams:
                crm: {url: "https://crm.example.com/mcp"}

            """
        )
    }

    private func loop(_ name: String) throws -> Background {
        let loop = try Background(
            Host.ensign,
            ["dev", "support/triage", "--env", "prod"],
            in: host.work,
            log: "\(host.scratch.path)/\(name).log",
            environment: ["TMPDIR": temporary]
        )
        eventually(within: .seconds(20), "it serves: \(loop.output)") { loop.output.contains("claim ") }
        return loop
    }

    private var folders: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: temporary)) ?? []).sorted()
    }

    /// Processes whose words name the temporary folder: gateways of this test.
    private var gateways: [String] {
        let processes = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return processes.filter { Int($0) != nil }.filter { process in
            let words = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") ?? Data()
            let text = String(decoding: words, as: UTF8.self)
            return text.contains("ensign-gateway") && text.contains(temporary)
        }
    }

    @Test("Its gateway ends with it, and the next loop removes its folder, and no other's")
    func killed() throws {
        let first = try loop("first")
        #expect(folders.count == 1 && gateways.count == 1, "\(folders) \(gateways)")
        let left = folders
        _ = try first.stop("KILL")
        eventually(within: .seconds(10), "its gateway ends: \(gateways)") { gateways.isEmpty }
        #expect(folders == left)
        // What only has such a name, and what is just being made, is nobody's to remove.
        for name in ["ensign-dev-mine", "ensign-dev-other"] {
            try FileManager.default.createDirectory(atPath: "\(temporary)/\(name)", withIntermediateDirectories: true)
        }
        #expect(unsafe chmod("\(temporary)/ensign-dev-other", 0o700) == 0)
        #expect(FileManager.default.createFile(atPath: "\(temporary)/ensign-dev-mine/lock", contents: nil))
        let second = try loop("second")
        #expect(!folders.contains(left[0]) && folders.count == 3, "\(folders)")
        #expect(try second.stop() == 0, "\(second.output)")
        #expect(folders == ["ensign-dev-mine", "ensign-dev-other"])
        #expect(gateways.isEmpty)
    }
}
