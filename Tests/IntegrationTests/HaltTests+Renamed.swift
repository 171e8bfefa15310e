import EnsignTestSupport
import Foundation
import Testing

/// A stop comes under the name that an agent has had: whichever run gives it another one, and however that run ends.
extension HaltTests {
    static let helper = "agents/support/helper.json"

    /// A host whose newest commit gives `support/triage` another name, and that has not reconciled yet.
    private func renaming(_ host: Host) throws {
        try? FileManager.default.removeItem(atPath: "\(host.bare)/hooks/post-receive")
        try rename(host, from: "triage", to: "helper")
    }

    private func rename(_ host: Host, from old: String, to new: String) throws {
        let folder = "environments/prod/agents/support"
        try host.git("mv", "fleet/agents/support/\(old)", "fleet/agents/support/\(new)")
        try host.git("mv", "\(folder)/\(old).yaml", "\(folder)/\(new).yaml")
        try host.git("commit", "-q", "-a", "-m", "It is called \(new) now")
        try host.git("push", "-q", "origin", "main")
    }

    private func phase(_ bare: String, _ path: String) -> String? {
        let route = FileManager.default.contents(atPath: "\(bare)/ensign/live/prod/\(path)")
        return (try? JSONSerialization.jsonObject(with: route ?? Data()) as? [String: Any])?["phase"] as? String
    }

    @Test(
        "Wherever the run that renames an agent dies or fails, a halt of the name that is shown stops it",
        arguments: ["kill", "fail"]
    )
    func renamedByTheDead(_ mode: String) throws {
        let host = try host()
        let shim = try faultShim(host)
        try renaming(host)
        let copy = "\(host.scratch.path)/copy.git"
        var hits = 0
        for step in stride(from: 20, through: 200, by: 2) {
            try? FileManager.default.removeItem(atPath: copy)
            #expect(try run("cp", ["-a", host.bare, copy], in: host.scratch.path).status == 0)
            let faults = ["LD_PRELOAD": shim, "FAULT_AT": String(step), "FAULT_MODE": mode, "FAULT_ERRNO": "5"]
            let died = try run(Host.ensign, ["reconcile", "--env", "prod"], in: copy, environment: faults)
            if died.status == 0, mode == "kill" { break }
            guard died.status != 0, phase(copy, Self.helper) == "stable" else { continue }
            // On record by now: the old name is not there any more, and is refused.
            guard try run(Host.ensign, ["get", "agents", "--env", "prod"], in: copy).output.contains("triage") else {
                continue
            }
            hits += 1
            let halting = ["halt", "support/triage", "--env", "prod", "--reason", "it lies"]
            let halted = try run(Host.ensign, halting, in: copy)
            #expect(halted.status == 0, "step \(step): \(halted.errors)")
            #expect(halted.errors.contains("support/helper, which is halted too"), "step \(step): \(halted.errors)")
            for _ in 0..<2 {
                #expect(phase(copy, Self.helper) == "halted", "step \(step)")
                #expect([nil, "halted"].contains(phase(copy, Self.triage)), "step \(step)")
                let again = try run(Host.ensign, ["reconcile", "--env", "prod"], in: copy)
                #expect(again.status == 0, "step \(step): \(again.errors)")
            }
            #expect(try run(Host.ensign, ["verify", "--env", "prod"], in: copy).status == 0, "step \(step)")
            let resuming = ["resume", "support/helper", "--env", "prod", "--reason", "looked"]
            #expect(try run(Host.ensign, resuming, in: copy).status == 0, "step \(step)")
            #expect(phase(copy, Self.helper) == "stable", "step \(step)")
        }
        #expect(hits > 0, "some runs died when the new name was live and not on record")
    }

    @Test("A halt that cannot be remembered stops an agent that a run gives another name meanwhile")
    func renamedMeanwhile() throws {
        let host = try host()
        let shim = try faultShim(host)
        try renaming(host)
        let copy = "\(host.scratch.path)/copy.git"
        for step in [50, 60, 70] {
            try? FileManager.default.removeItem(atPath: copy)
            #expect(try run("cp", ["-a", host.bare, copy], in: host.scratch.path).status == 0)
            let script = """
                export LD_PRELOAD=\(shim)
                FAULT_AT=\(step) FAULT_MODE=stop \(Host.ensign) reconcile --env prod & run=$!
                sleep 0.5
                FAULT_AT=1 FAULT_MODE=fail FAULT_ERRNO=5 \(Host.ensign) halt support/triage --env prod --reason x & halt=$!
                sleep 0.5
                kill -CONT $run; wait $run; wait $halt
                """
            let result = try run("sh", ["-c", script], in: copy)
            for _ in 0..<2 {
                let phases = "\(step): \(result.output)\(result.errors)"
                #expect([nil, "halted"].contains(phase(copy, Self.helper)), "\(phases)")
                #expect([nil, "halted"].contains(phase(copy, Self.triage)), "\(phases)")
                #expect(try run(Host.ensign, ["reconcile", "--env", "prod"], in: copy).status == 0)
            }
            #expect(phase(copy, Self.helper) == "halted")
        }
    }

    @Test("What was halted by entries that are lost is halted under whatever name git has for it by now")
    func renamedAndLost() throws {
        let host = try host()
        let backup = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        try renaming(host)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        let former = try halt(host, "support/triage")
        #expect(former.status == 64 && former.errors.contains("it is 'support/helper' now"), "\(former.errors)")
        #expect(try halt(host, "support/helper").status == 0)
        try rename(host, from: "helper", to: "third")
        try host.hostGit("update-ref", "refs/ensign/ledger/prod", backup)
        let accepted = try host.ensign("reconcile", "--env", "prod", "--accept-loss")
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(phase(host.bare, "agents/support/third.json") == "halted", "\(accepted.output)\(accepted.errors)")
        try host.expectSound()
        // Other agents of the team go on.
        #expect(phase(host.bare, "agents/support/desk.json") == "stable")
        for agent in ["helper", "third"] {
            let resumed = try host.ensign("resume", "support/\(agent)", "--env", "prod", "--reason", "looked")
            #expect(resumed.status == 0, "\(resumed.errors)")
        }
        #expect(phase(host.bare, "agents/support/third.json") == "stable")
        try host.expectSound()
    }

    @Test("Whoever has taken a name over is meant by it, and not who has given it up: also where its entries are lost")
    func takenOver() throws {
        let host = try host()
        try renaming(host)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        let backup = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        for path in ["fleet/agents/support", "environments/prod/agents/support"] {
            let suffix = path.hasPrefix("fleet") ? "" : ".yaml"
            try FileManager.default.copyItem(
                atPath: "\(host.work)/\(path)/helper\(suffix)",
                toPath: "\(host.work)/\(path)/triage\(suffix)"
            )
        }
        try host.edit("fleet/agents/support/triage/1.0.0/prompt.md", "Sort the ticket.", "Another one.")
        try host.git("add", "-A")
        try host.git("commit", "-q", "-m", "Somebody else takes the name")
        try host.git("push", "-q", "origin", "main")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try halt(host, "support/triage").status == 0)
        #expect(isHalted(host) && phase(host.bare, Self.helper) == "stable")
        try host.hostGit("update-ref", "refs/ensign/ledger/prod", backup)
        let accepted = try host.ensign("reconcile", "--env", "prod", "--accept-loss")
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(isHalted(host) && phase(host.bare, Self.helper) == "stable", "\(accepted.output)\(accepted.errors)")
        let resumed = try host.ensign("resume", "support/triage", "--env", "prod", "--reason", "looked")
        #expect(resumed.status == 0, "\(resumed.errors)")
    }

    @Test(
        "A stop of a team that comes after an agent has left it stops it no more; what is lost of the team goes along"
    )
    func left() throws {
        var fleet = FleetFixture()
        fleet["fleet/teams/sales.yaml"] = fleet[FleetFixture.teamPath]
        let host = try Host(fleet: fleet)
        try renaming(host)
        let backup = try host.hostGit("rev-parse", "refs/ensign/ledger/prod")
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        for folder in ["fleet/agents", "environments/prod/agents"] {
            let suffix = folder.hasPrefix("fleet") ? "" : ".yaml"
            try FileManager.default.createDirectory(
                atPath: "\(host.work)/\(folder)/sales",
                withIntermediateDirectories: true
            )
            try host.git("mv", "\(folder)/support/helper\(suffix)", "\(folder)/sales/helper\(suffix)")
        }
        try host.git("commit", "-q", "-a", "-m", "It is sales' now")
        try host.git("push", "-q", "origin", "main")
        let copy = "\(host.scratch.path)/copy.git"
        #expect(try run("cp", ["-a", host.bare, copy], in: host.scratch.path).status == 0)
        #expect(try host.ensign("reconcile", "--env", "prod").status == 0)
        #expect(try halt(host, "--team", "support").status == 0)
        #expect(phase(host.bare, "agents/sales/helper.json") == "stable")
        // The same, where it was halted by an entry that is lost, under a name that the older one does not know.
        let halting = ["halt", "support/helper", "--env", "prod", "--reason", "x"]
        #expect(try run(Host.ensign, halting, in: copy).status == 0)
        #expect(try run("git", ["update-ref", "refs/ensign/ledger/prod", backup], in: copy).status == 0)
        let accepted = try run(Host.ensign, ["reconcile", "--env", "prod", "--accept-loss"], in: copy)
        #expect(accepted.status == 0, "\(accepted.errors)")
        #expect(phase(copy, "agents/sales/helper.json") == "halted", "\(accepted.output)\(accepted.errors)")
    }
}
