import EnsignManifest
import EnsignModel
import EnsignTestSupport

/// What checking the small fleet says when one of its files is another one.
func check(_ path: String, _ text: String) -> String {
    var fixture = FleetFixture()
    fixture[path] = text
    return fixture.check()
}

/// What checking the small fleet says when a part of one of its files is replaced.
func check(_ path: String, _ old: String, _ new: String) -> String {
    var fixture = FleetFixture()
    fixture.replace(old, with: new, in: path)
    return fixture.check()
}

/// A team's manifest with this `spec`.
func team(_ spec: String) -> String { "apiVersion: ensign.dev/v1\nkind: Team\nspec: \(spec)\n" }

/// Checks a team with this `spec`; the path is left out of what is said.
func checkTeam(_ spec: String) -> String {
    check(FleetFixture.teamPath, team(spec)).replacing("\(FleetFixture.teamPath):", with: "")
}

/// Checks an agent whose `runtime`, which may be any object, is this.
func checkRuntime(_ runtime: String) -> String {
    check(FleetFixture.agentPath, "{kind: langgraph, graph: \"tickets:graph\"}", runtime)
        .replacing("\(FleetFixture.agentPath):", with: "")
}

/// Checks a schema as the `output` of the tool's `update`.
func checkSchema(_ schema: String) -> String {
    check(FleetFixture.toolPath, "output: {type: object}", "output: \(schema)")
        .replacing("\(FleetFixture.toolPath):", with: "")
}

/// How long `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
    let elapsed = try ContinuousClock().measure { try body() }
    return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
}

func codes(_ findings: [Finding]) -> [String] { findings.map(\.code) }
