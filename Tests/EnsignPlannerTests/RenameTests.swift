import EnsignManifest
import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignPlanner

@Suite("Which agent goes on under which new name")
struct RenameTests {
    /// Who leaves, who is created, and what a created agent could run.
    private struct Move {
        var leaving: [Renames.Leaving] = []
        var created: [DesiredAgent] = []
        private var versions: [AgentID: [AgentVersion: CompiledBundle]] = [:]

        mutating func leave(_ name: String, _ number: String, _ content: Int, isFlagged: Bool = false) {
            let runs = Self.version(name, number, content)
            let bundle = bundle(name, number) { $0.artifact = runs.artifact }
            leaving.append(
                Renames.Leaving(agent: agent(name), stable: runs.side, bundle: bundle, isFlagged: isFlagged)
            )
        }

        /// - Parameter contents: By version; the first is the one that git asks for.
        mutating func create(_ name: String, _ contents: [(number: String, content: Int)]) {
            let compiled = contents.map { Self.version(name, $0.number, $0.content) }
            created.append(DesiredAgent(agent: agent(name), compiled: compiled.first))
            versions[agent(name)] = Dictionary(compiled.map { ($0.version, $0) }) { first, _ in first }
        }

        func compile(_ agent: AgentID, _ version: AgentVersion) -> CompiledBundle? { versions[agent]?[version] }

        /// An artifact is a version with its content, whatever the agent's name.
        private static func version(_ name: String, _ number: String, _ content: Int) -> CompiledBundle {
            compiled(
                bundle(name, number) { $0.artifact = Compiler.digest(of: Array("\(number) \(content)".utf8)) },
                halted: false
            )
        }
    }

    /// The new name, then the old one.
    private func find(_ move: Move) throws -> (names: [AgentID: AgentID], compiled: Int) {
        var compiled = 0
        let found = try Renames.find(move.leaving, move.created) { agent, version in
            compiled += 1
            return move.compile(agent, version)
        }
        return (found.mapValues { $0.leaving.agent }, compiled)
    }

    /// Every pair, from the likeliest to the least likely.
    private func findSlowly(_ move: Move) -> [AgentID: AgentID] {
        var pairs: [(distance: Int, old: Renames.Leaving, new: DesiredAgent)] = []
        for old in move.leaving {
            for new in move.created {
                let isNear = old.agent.name == new.agent.name || old.agent.team == new.agent.team
                let brings = new.compiled?.identity.isArtifact(of: old.bundle) == true
                pairs.append(((isNear ? 0 : 2) + (brings ? 0 : 1), old, new))
            }
        }
        pairs.sort { left, right in
            if left.distance != right.distance { return left.distance < right.distance }
            if left.old.isFlagged != right.old.isFlagged { return left.old.isFlagged }
            return (left.old.agent, left.new.agent) < (right.old.agent, right.new.agent)
        }
        var found: [AgentID: AgentID] = [:]
        for (_, old, new) in pairs where found[new.agent] == nil && !found.values.contains(old.agent) {
            guard move.compile(new.agent, old.stable.version)?.identity.isArtifact(of: old.bundle) == true else {
                continue
            }
            found[new.agent] = old.agent
        }
        return found
    }

    @Test("They are those that comparing every pair finds")
    func sameAsEveryPair() throws {
        var random = SeededGenerator(for: "renames", standard: 5)
        var most = 0
        for _ in rounds(400) {
            var move = Move()
            let names = (0..<4).flatMap { team in (0..<4).map { "team-\(team)/agent-\($0)" } }.shuffled(using: &random)
            let numbers = ["1.0.0", "1.1.0", "2.0.0"]
            for name in names.prefix(random.int(1...8)) {
                move.leave(name, random.pick(numbers), random.int(1...3), isFlagged: random.once(in: 3))
            }
            for name in names.suffix(random.int(1...8)) {
                let own = numbers.shuffled(using: &random).prefix(random.int(1...3))
                move.create(name, own.map { ($0, random.int(1...3)) })
            }
            let found = try find(move).names
            #expect(found == findSlowly(move), "seed \(random.seed)")
            most = max(most, found.count)
        }
        #expect(most > 4)
    }

    @Test("All of a large fleet are found, and each version of a new name is compiled at most twice")
    func manyAtOnce() throws {
        var move = Move()
        let count = 2_500
        for index in 0..<count {
            move.leave("old-\(index % 30)/agent-\(index)", index % 2 == 0 ? "1.0.0" : "1.1.0", index)
            // Every other one is renamed in the commit that also brings its next version; all move to another team.
            let versions = index % 3 == 0 ? [("2.0.0", 0)] : []
            move.create(
                "new-\(index % 30)/worker-\(index)",
                versions + [(index % 2 == 0 ? "1.0.0" : "1.1.0", index)]
            )
        }
        let (found, compiles) = try find(move)
        #expect(found.count == count)
        #expect(found.allSatisfy { $0.key.name.dropFirst(7) == $0.value.name.dropFirst(6) })
        #expect(compiles <= 4 * count)
    }
}
