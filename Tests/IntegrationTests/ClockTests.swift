import EnsignTestSupport
import Foundation
import Testing

/// A clock that is set in the middle of a canary: the planner's scenarios show what is reported when.
@Suite struct ClockTests {
    private let deployment = "environments/prod/agents/support/refund-triage.yaml"

    /// Makes the host believe that its clock was set forwards by so many seconds since it last looked.
    private func advance(_ seconds: Int, _ host: Host) throws {
        let path = "\(host.bare)/ensign/state/prod/clock"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let wall = try #require(text.firstMatch(of: /"wall":(\d+)/))
        let earlier = try #require(Int(wall.1)) - seconds
        try text.replacing(wall.0, with: "\"wall\":\(earlier)").write(toFile: path, atomically: true, encoding: .utf8)
    }

    @Test("Small steps add up; a step is told once, whatever git says")
    func steps() throws {
        let host = try Host()
        let rollout = "{canary: {steps: [{weight: 20, hold: 1h}]}}"
        try host.push("environments/prod/environment.yaml", "spec:", "spec:\n  rollout: \(rollout)")
        try host.push(deployment, "version: 1.4.0", "version: 1.5.0")
        let told = "the clock was set: the hold starts again"
        func reconcile() throws -> String { try host.ensign("reconcile", "--env", "prod").output }
        try advance(20, host)
        #expect(try !reconcile().contains(told))
        try advance(20, host)
        #expect(try reconcile().contains(told))
        #expect(try !reconcile().contains(told))

        // A branch that cannot be applied: the canary follows the last accepted commit, and the report says so.
        let good = try host.hostGit("rev-parse", "refs/heads/main").trimmingCharacters(in: .whitespacesAndNewlines)
        try host.edit(deployment, "version: 1.5.0", "version: 9.9.9")
        _ = try host.git("commit", "-aqm", "Broken", "--no-verify")
        _ = try host.git("push", "-q", "origin", "HEAD:refs/heads/aside")
        _ = try host.hostGit("update-ref", "refs/heads/main", "refs/heads/aside")
        try advance(90_000, host)
        #expect(try reconcile().contains(told))
        #expect(try !reconcile().contains(told))
        _ = try host.hostGit("update-ref", "refs/heads/main", good)
        #expect(try !reconcile().contains(told))
    }
}
