import EnsignJSON
import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("The repository's own sample fleet")
struct SampleFleetTests {
    private func fixture() throws -> FleetFixture {
        var fixture = FleetFixture(only: try packageFiles(below: "fleet", "environments").mapValues { .bytes($0) })
        fixture.today = "2026-06-01"
        return fixture
    }

    @Test("It has no errors and no warnings")
    func clean() throws {
        let fixture = try fixture()
        #expect(fixture.entries.count > 80)
        #expect(fixture.check() == "")
    }

    @Test("Every deployment of every environment compiles, to schemas that compile")
    func compiles() throws {
        let fixture = try fixture()
        let fleet = fixture.fleet()
        let environments = try fleet.environmentNames()
        #expect(environments == ["dev", "prod", "staging"])
        for environment in environments {
            let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
            let agents = try fleet.deployedAgents(in: environment)
            #expect(agents.count == 7)
            for agent in agents {
                let bundle = try #require(try compiler.compile(agent)).bundle.bundle
                #expect(Bundle(json: bundle.json) == bundle)
                for operation in bundle.tools.flatMap(\.operations.values) {
                    for schema in [operation.input, operation.output].compactMap({ $0 }) { _ = try JSONSchema(schema) }
                }
                for schema in [bundle.contract.input, bundle.contract.output].compactMap({ $0 }) {
                    _ = try JSONSchema(schema)
                }
            }
            #expect(try compiler.cycles(from: agents).isEmpty)
        }
        #expect(fleet.findings == [])
    }

    @Test("A version has the same artifact wherever it runs")
    func artifacts() throws {
        let fleet = try fixture().fleet()
        var artifacts: [String: Set<Digest>] = [:]
        for environment in try fleet.environmentNames() {
            let compiler = EnvironmentCompiler(fleet: fleet, environment: environment)
            for agent in try fleet.deployedAgents(in: environment) {
                let bundle = try #require(try compiler.compile(agent)).bundle.bundle
                artifacts["\(agent) \(bundle.version)", default: []].insert(bundle.artifact)
            }
        }
        #expect(artifacts.values.allSatisfy { $0.count == 1 })
    }
}
