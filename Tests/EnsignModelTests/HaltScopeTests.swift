import EnsignModel
import EnsignTestSupport
import Testing

@Suite("What a halt covers")
struct HaltScopeTests {
    private static let desk = agent("support/desk")
    private static let lead = agent("sales/lead")

    private static func agent(_ text: String) -> AgentID {
        guard let agent = AgentID(text) else { fatalError("'\(text)' is no agent") }
        return agent
    }

    @Test("A team's halt covers its agents of any list, and everything covers all of them")
    func lists() {
        let all = [Self.lead, Self.desk]
        #expect(HaltScope.team("support").covered { _ in all } == [Self.desk])
        #expect(HaltScope.team("nobody").covered { _ in all }.isEmpty)
        #expect(HaltScope.all.covered { _ in all } == all)
        for scope in [HaltScope.team("support"), .all, .agent(Self.lead)] {
            #expect(scope.covered { _ in all }.allSatisfy(scope.covers))
        }
    }

    @Test("Who is named is covered although no list can be had, and no fleet's halt is its own")
    func named() {
        struct NoList: Error {}
        let scope = HaltScope.agent(Self.desk)
        #expect((try? scope.covered { _ in throw NoList() }) == [Self.desk])
        #expect(!scope.coversLater && HaltScope.all.coversLater && HaltScope.team("support").coversLater)
        let halt = Halt(since: Timestamp(seconds: 1), reason: "it loops", by: "ada@here")
        #expect(FleetHalts(all: halt, teams: ["support": halt])[scope] == nil)
    }
}
