import EnsignTestSupport
import Foundation
import Testing

/// An empty table says why it is empty: silence would pass for "all is well", and for "it does not work".
@Suite struct EmptyAnswerTests {
    private func expectNote(_ words: [String], _ note: String, in folder: String) throws {
        let result = try run(Host.ensign, words, in: folder)
        #expect(result.status == 0, "\(words): \(result.errors)")
        #expect(result.errors.contains(note), "\(words): \(result.output)\(result.errors)")
        let quiet = try run(Host.ensign, words + ["-q"], in: folder)
        #expect(quiet.status == 0 && quiet.output.split(separator: "\n").count < 2, "\(words): \(quiet.output)")
        #expect(!quiet.errors.contains(note), "\(words): \(quiet.errors)")
    }

    @Test("What is not there is said, beside the results and not with --quiet")
    func nothing() throws {
        let host = try Host(fleet: FleetFixture())
        for (words, note) in [
            (["get", "agents", "--label", "a=b"], "no declared agent matches"),
            (["get", "agents", "--model", "nobody"], "no declared agent matches"),
            (["get", "agents", "--env", "prod", "--label", "a=b"], "prod: no agent there matches"),
            (["get", "agents", "--env", "dev"], "dev: no agent is declared or live"),
            (["rollout", "status", "support/triage", "--env", "dev"], "dev: support/triage is not live"),
            (["log", "--env", "prod", "--since", "2100-01-01"], "prod: no entry of that time is there"),
            (["log", "support/triage", "--env", "dev"], "dev: "),
            (["log", "support/triage", "--env", "prod", "--until", "2020-01-01"], "of that time changed support/"),
        ] {
            try expectNote(words, note, in: host.bare)
        }
    }

    @Test("Before the first entry there is a note, too")
    func fresh() throws {
        let host = try Host(fleet: FleetFixture())
        for name in ["dev", "prod"] { try host.hostGit("update-ref", "-d", "refs/ensign/ledger/\(name)") }
        try FileManager.default.removeItem(atPath: "\(host.bare)/ensign")
        #expect(try host.ensign("init").status == 0)
        try expectNote(["log", "--env", "dev"], "dev: nothing was recorded yet", in: host.bare)
        try expectNote(["log", "support/triage", "--env", "prod"], "prod: nothing was recorded yet", in: host.bare)
    }

    @Test("A team or a tool that nothing knows is a typo, and not one without agents")
    func unknown() throws {
        let host = try Host(fleet: FleetFixture())
        for place in [[], ["--env", "prod"], ["--rev", "main"]] {
            for (words, message, meant) in [
                (["--team", "suport"], "there is no team 'suport'", "'support'"),
                (["--tool", "crn"], "there is no tool 'crn'", "'crm'"),
            ] {
                for format in [[], ["-o", "json"]] {
                    let result = try host.ensign(arguments: ["get", "agents"] + place + words + format)
                    #expect(result.status == 64 && result.output.isEmpty, "\(place) \(words): \(result.output)")
                    #expect(result.errors.contains(message), "\(result.errors)")
                    #expect(result.errors.contains("did you mean \(meant)?"), "\(result.errors)")
                }
            }
        }
    }
}
