import EnsignTestSupport
import Foundation
import Testing

/// What a plan says about a canary before it starts: `ensign plan` where there is no telemetry.
@Suite struct PowerTests {
    private static let canary = """
        {canary: {steps: [{weight: 25, hold: 1h}], analysis: {metrics: [{name: success, kind: rate, good: true, margin: 0.05}], deadline: 24h}}}
        """

    private func plan(_ host: Host, _ arguments: String...) throws -> CommandResult {
        try run(Host.ensign, ["plan", "--env", "prod", "widened"] + arguments, in: host.bare)
    }

    /// A host with a branch that widens what an agent may do, whose environment rolls out like this.
    private func widened(_ rollout: String) throws -> Host {
        var fleet = FleetFixture()
        fleet.replace("keepFor: 7d", with: "keepFor: 7d\n  rollout: \(rollout)", in: FleetFixture.environmentPath)
        let host = try Host(fleet: fleet)
        try host.edit(FleetFixture.deploymentPath, "maximum: 100", "maximum: 200")
        try host.git("commit", "-q", "-a", "-m", "Widen")
        try host.git("push", "-q", "origin", "HEAD:refs/heads/widened")
        return host
    }

    private func power(_ result: CommandResult) throws -> [String: Any]? {
        let json = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        let change = try #require((json?["changes"] as? [[String: Any]])?.first)
        #expect(change["power"] != nil)
        return change["power"] as? [String: Any]
    }

    @Test("Without telemetry a rate is assumed, and said to be; an option names one")
    func assumed() throws {
        let host = try widened(Self.canary)
        let text = try plan(host).output
        #expect(text.contains("canary: no telemetry of it here: assuming 60 runs an hour"), "\(text)")
        #expect(text.contains("canary: at 60 runs an hour this canary can see success fall by 10 points in about "))
        #expect(text.contains("and a good one will have passed in about "))
        #expect(try plan(host, "--output", "markdown").output.contains("**Canary**\n\n- no telemetry"))
        let json = try #require(try power(plan(host, "--output", "json")))
        #expect(json["assumed"] as? Bool == true && json["runsPerHour"] as? Int == 60)
        #expect(json["concludes"] as? Bool == true)
        let metric = try #require((json["metrics"] as? [[String: Any]])?.first)
        #expect(metric["name"] as? String == "success" && metric["change"] as? String == "success fall by 10 points")
        #expect(metric["hoursToFail"] is Double && metric["hoursToPass"] is Double)
    }

    @Test("A canary that cannot conclude is told of with the date, and what else to do")
    func slow() throws {
        let host = try widened(Self.canary)
        let result = try plan(host, "--runs-per-hour", "2")
        let date = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
        let pattern = try Regex("canary: at 2 runs an hour this canary cannot conclude before \(date): 'success' needs")
        #expect(result.output.contains(pattern), "\(result.output)")
        #expect(result.output.contains("use evaluations, a wider margin or a larger weight, or promote by hand"))
        #expect(!result.output.contains("no telemetry of it here"))
        let json = try #require(try power(plan(host, "--runs-per-hour", "2", "--output", "json")))
        #expect(json["assumed"] as? Bool == false && json["concludes"] as? Bool == false)
        for wrong in ["0", "-1", "many", "inf", "nan"] {
            let result = try plan(host, "--runs-per-hour=\(wrong)")
            #expect(result.status == 64, "\(wrong): \(result.status)")
        }
    }

    @Test(
        "Where no canary starts, or nothing judges it, nothing is said",
        arguments: [
            "{immediate: {}}", "{canary: {steps: [{weight: 25, hold: 1h}]}}",
        ]
    )
    func silent(_ rollout: String) throws {
        let host = try widened(rollout)
        #expect(!(try plan(host).output.contains("canary:")))
        #expect(try power(plan(host, "--output", "json")) == nil)
    }
}
