import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@Suite("How much of a fleet one walk visits")
struct WalkBudgetTests {
    /// A folder of teams with the same agents, all of them one object, as a git tree can have them.
    private final class Bomb: Snapshot {
        let root = SnapshotNode(name: "", kind: .directory)
        var visited = 0
        let counted: Int

        init(counted: Int) { self.counted = counted }

        func children(of node: SnapshotNode) throws -> [SnapshotNode] {
            if node.name.isEmpty { return [SnapshotNode(name: "fleet", kind: .directory)] }
            if node.name == "fleet" { return [SnapshotNode(name: "agents", kind: .directory)] }
            visited += 9_000
            return (0..<9_000).map { SnapshotNode(name: "a\($0)", kind: .directory) }
        }

        func size(of node: SnapshotNode) throws -> Int { 0 }
        func bytes(of node: SnapshotNode) throws -> [UInt8] { [] }
        func countEntries(upTo limit: Int) throws -> Int { counted }
    }

    private func check(_ bomb: Bomb, _ budget: WalkBudget = WalkBudget()) throws {
        let today = try #require(CalendarDate("2026-06-01"))
        let fleet = Fleet(snapshot: bomb, today: today, budget: budget)
        var checker = FleetChecker(fleet: fleet)
        for team in try FleetChecker.teams(fleet) { try checker.checkTeam(team) }
    }

    @Test("A fleet that is too large is refused as soon as it is counted, not after it was walked through")
    func counted() {
        let bomb = Bomb(counted: .max)
        #expect(throws: FleetTooLarge.self) { try check(bomb) }
        #expect(bomb.visited < 200_000)
    }

    @Test("Where nothing can be counted, the walk ends at the limit")
    func walked() {
        let bomb = Bomb(counted: 0)
        let limit = 300_000
        #expect(throws: FleetTooLarge.self) { try check(bomb, WalkBudget(limit: limit)) }
        #expect(bomb.visited > limit - 9_000 && bomb.visited <= limit + 9_000)
    }
}
