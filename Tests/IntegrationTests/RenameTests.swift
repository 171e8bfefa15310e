import EnsignTestSupport
import Foundation
import Testing

@Suite struct RenameTests {
    @Test("A commit that renames a halted agent and is invalid leaves it halted; once mended, the stop goes along")
    func invalid() throws {
        let host = try Host(fleet: FleetFixture())
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it lies").status == 0)
        let renamed = "environments/prod/agents/support/helper.yaml"
        try host.git("mv", "fleet/agents/support/triage", "fleet/agents/support/helper")
        try host.git("mv", FleetFixture.deploymentPath, renamed)
        let text = try String(contentsOfFile: "\(host.work)/\(renamed)", encoding: .utf8)
        try host.scratch.write("work/\(renamed)", text + "bogus: 1\n")
        try host.git("commit", "-q", "-a", "-m", "Rename it, badly")
        // Somebody has got it past the check.
        try FileManager.default.removeItem(atPath: "\(host.bare)/hooks/pre-receive")
        #expect(try host.tryGit("push", "-q", "origin", "main").errors.contains("not applied"))
        func agents() throws -> String { try host.ensign("get", "agents", "--env", "prod").output }
        #expect(try agents().contains(#/support\/triage .* halted .*it lies/#))
        #expect(try agents().contains(#/support\/helper .* not-live/#))

        try host.scratch.write("work/\(renamed)", text)
        try host.git("commit", "-q", "-a", "-m", "Mend it")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.errors.contains("it was support/triage"), "\(push.errors)")
        #expect(try agents().contains(#/support\/helper .* halted .*as support\/triage: it lies/#))
        #expect(try !agents().contains("support/triage "))
        try host.expectSound()
    }

    /// What git asks of the halted agent before it is renamed, so that what runs is not what is asked for.
    enum Wait: CaseIterable {
        /// A newer version; the one that was stopped is gone from the repository.
        case replaced
        /// The same number with other content.
        case edited
        /// A newer version, where nothing is removed that is no longer declared.
        case kept
    }

    @Test(
        "A stop goes along with a rename to another team, though git asks for another version by then",
        arguments: Wait.allCases
    )
    func waiting(_ wait: Wait) throws {
        let environment = FleetFixture.environmentPath
        var fleet = FleetFixture()
        fleet.replace(
            "spec:",
            with: "spec:\n  rollout: {canary: {steps: [{weight: 10, hold: 1h}]}}\n  mutableVersions: true",
            in: environment
        )
        if wait == .kept { fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  prune: false", in: environment) }
        fleet["fleet/teams/sales.yaml"] = fleet[FleetFixture.teamPath]
        let host = try Host(fleet: fleet)
        let folder = "fleet/agents/support/triage"
        if wait == .edited {
            try host.git("mv", "\(folder)/1.0.0", "\(folder)/next")
            try host.edit(FleetFixture.deploymentPath, "version: 1.0.0", "version: next")
            #expect(try host.tryGit("commit", "-q", "-a", "-m", "Next").status == 0)
            #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
            _ = try host.ensign("rollout", "promote", "support/triage", "--env", "prod", "--reason", "x")
        }
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it lies").status == 0)
        switch wait {
        case .edited: try host.edit("\(folder)/next/prompt.md", "Sort the ticket.", "Sort the tickets.")
        case .replaced, .kept:
            try FileManager.default.copyItem(
                atPath: "\(host.work)/\(folder)/1.0.0",
                toPath: "\(host.work)/\(folder)/1.1.0"
            )
            try host.edit("\(folder)/1.1.0/prompt.md", "Sort the ticket.", "Sort the tickets.")
            try host.edit(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0")
            if wait == .replaced { try host.git("rm", "-rq", "\(folder)/1.0.0") }
        }
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Another version")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        func agents() throws -> String { try host.ensign("get", "agents", "--env", "prod").output }
        #expect(try agents().contains(#/support\/triage .* halted/#))

        try FileManager.default.createDirectory(
            atPath: "\(host.work)/fleet/agents/sales",
            withIntermediateDirectories: true
        )
        try FileManager.default.createDirectory(
            atPath: "\(host.work)/environments/prod/agents/sales",
            withIntermediateDirectories: true
        )
        try host.git("mv", folder, "fleet/agents/sales/triage")
        try host.git("mv", FleetFixture.deploymentPath, "environments/prod/agents/sales/triage.yaml")
        try host.git("commit", "-q", "-a", "-m", "Move it")
        let push = try host.tryGit("push", "-q", "origin", "main")
        #expect(push.status == 0, "\(push.errors)")
        #expect(try agents().contains(#/sales\/triage .* halted .*as support\/triage: it lies/#))
        #expect(try !agents().contains(#/(support|sales)\/triage .* (stable|canary)/#))
        // What was stopped goes on under the new name; what git asks for waits as it did.
        if wait == .replaced { #expect(try agents().contains(#/sales\/triage .*1\.0\.0/#)) }
        try host.expectSound()
    }

    @Test("What was stopped stays so under another name, though another version was taken over before it was retired")
    func takenOver() throws {
        var fleet = FleetFixture()
        fleet["fleet/teams/sales.yaml"] = fleet[FleetFixture.teamPath]
        let host = try Host(fleet: fleet)
        let (folder, deployment) = ("fleet/agents/support/triage", "\(host.work)/\(FleetFixture.deploymentPath)")
        let before = try String(contentsOfFile: deployment, encoding: .utf8)
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it lies").status == 0)
        try FileManager.default.copyItem(atPath: "\(host.work)/\(folder)/1.0.0", toPath: "\(host.work)/\(folder)/1.1.0")
        try host.edit("\(folder)/1.1.0/prompt.md", "Sort the ticket.", "Sort the tickets.")
        try host.edit(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0")
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "1.1.0")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        try host.git("rm", "-q", FleetFixture.deploymentPath)
        try host.git("commit", "-q", "-m", "Retire it")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        for version in ["1.0.0", "1.1.0"] {
            let name = "triage-\(version.replacing(".", with: "-"))"
            let path = "environments/prod/agents/sales/\(name).yaml"
            try FileManager.default.createDirectory(
                atPath: "\(host.work)/environments/prod/agents/sales",
                withIntermediateDirectories: true
            )
            try FileManager.default.createDirectory(
                atPath: "\(host.work)/fleet/agents/sales/\(name)",
                withIntermediateDirectories: true
            )
            try FileManager.default.copyItem(
                atPath: "\(host.work)/\(folder)/\(version)",
                toPath: "\(host.work)/fleet/agents/sales/\(name)/\(version)"
            )
            try host.scratch.write("work/\(path)", before.replacing("version: 1.0.0", with: "version: \(version)"))
            try host.git("add", "-A")
            try host.git("commit", "-q", "-m", "Back as \(name)")
            #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
            let agents = try host.ensign("get", "agents", "--env", "prod").output
            #expect(agents.contains("sales/\(name) "), "\(agents)")
            let line = agents.split(separator: "\n").first { $0.hasPrefix("sales/\(name) ") } ?? ""
            #expect(line.contains("halted") && line.contains("as support/triage: it lies"), "\(agents)")
        }
        try host.expectSound()
    }

    @Test(
        "A candidate that was tried when its agent was stopped stays so under another name, though the agent was retired"
    )
    func candidate() throws {
        var fleet = FleetFixture()
        fleet.replace(
            "spec:",
            with: "spec:\n  rollout: {canary: {steps: [{weight: 10, hold: 1h}]}}",
            in: FleetFixture.environmentPath
        )
        fleet["fleet/teams/sales.yaml"] = fleet[FleetFixture.teamPath]
        let host = try Host(fleet: fleet)
        let (folder, renamed) = ("fleet/agents/support/triage", "environments/prod/agents/sales/triage.yaml")
        try copy(host, "\(folder)/1.0.0", "\(folder)/1.1.0")
        try host.edit("\(folder)/1.1.0/prompt.md", "Sort the ticket.", "Sort the tickets.")
        try host.git("add", "-A")
        #expect(try host.push(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0").status == 0)
        #expect(try host.ensign("get", "agents", "--env", "prod").output.contains(#/support\/triage .* canary/#))
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it lies").status == 0)
        let text = try String(contentsOfFile: "\(host.work)/\(FleetFixture.deploymentPath)", encoding: .utf8)
        try host.git("rm", "-q", FleetFixture.deploymentPath)
        try host.git("commit", "-q", "-m", "Retire it")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        try copy(host, "\(folder)/1.1.0", "fleet/agents/sales/triage/1.1.0")
        try host.scratch.write("work/\(renamed)", text)
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Back as another")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        let agents = try host.ensign("get", "agents", "--env", "prod").output
        #expect(agents.contains(#/sales\/triage .* halted .*as support\/triage: it lies/#), "\(agents)")
        try host.expectSound()
    }

    @Test(
        "Where nothing is removed, a rename that brings another version too is halted as what stays under the old name"
    )
    func keptAndChanged() throws {
        var fleet = FleetFixture()
        fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  prune: false", in: FleetFixture.environmentPath)
        fleet["fleet/teams/sales.yaml"] = fleet[FleetFixture.teamPath]
        let host = try Host(fleet: fleet)
        #expect(try host.ensign("halt", "support/triage", "--env", "prod", "--reason", "it lies").status == 0)
        let folder = "fleet/agents/support/triage"
        try copy(host, "\(folder)/1.0.0", "\(folder)/1.1.0")
        try host.edit("\(folder)/1.1.0/prompt.md", "Sort the ticket.", "Sort the tickets.")
        try host.edit(FleetFixture.deploymentPath, "version: 1.0.0", "version: 1.1.0")
        try host.git("add", "-A")
        for place in ["fleet/agents/sales", "environments/prod/agents/sales"] {
            try FileManager.default.createDirectory(atPath: "\(host.work)/\(place)", withIntermediateDirectories: true)
        }
        try host.git("mv", folder, "fleet/agents/sales/triage")
        try host.git("mv", FleetFixture.deploymentPath, "environments/prod/agents/sales/triage.yaml")
        try host.git("commit", "-q", "-a", "-m", "Move and change it")
        #expect(try host.tryGit("push", "-q", "origin", "main").status == 0)
        let agents = try host.ensign("get", "agents", "--env", "prod").output
        #expect(agents.contains(#/sales\/triage .* halted .*as support\/triage: it lies/#), "\(agents)")
        #expect(agents.contains(#/support\/triage .* halted/#), "\(agents)")
        try host.expectSound()
    }

    private func copy(_ host: Host, _ from: String, _ path: String) throws {
        let target = "\(host.work)/\(path)"
        let parent = (target as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: "\(host.work)/\(from)", toPath: target)
    }
}
