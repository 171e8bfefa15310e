import EnsignModel
import EnsignTestSupport
import Testing

@testable import EnsignGateway

@Suite("Who may keep a connection open")
struct ConnectionPlacesTests {
    private let start = ContinuousClock.now
    private let agent = AgentID(team: "support", name: "triage")

    private func time(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test("Of one account only a quarter of the places is without proof, and the newest always gets one")
    func unproven() {
        var places = ConnectionPlaces(16)
        for number in 0..<4 { #expect(places.enter(number, .account(7), now: time(number)) { _ in false } == []) }
        for number in 4..<40 {
            #expect(places.enter(number, .account(7), now: time(number)) { _ in false } == [number - 4])
        }
        #expect(places.enter(100, .account(8), now: time(41)) { _ in false } == [])
        #expect(places.enter(101, .address("0a000001"), now: time(42)) { _ in false } == [])
        #expect(places.count == 6)
    }

    @Test("Whoever has proven who it is takes no place of its account's")
    func proven() {
        var places = ConnectionPlaces(16)
        for number in 0..<12 {
            #expect(places.enter(number, .account(7), now: time(number)) { _ in false } == [])
            places.prove(number, agent)
        }
        #expect(places.count == 12 && places.isProven(3) && !places.isProven(99))
    }

    @Test("Where no place is left, whoever holds the most gives up the one that has waited longest")
    func full() {
        var places = ConnectionPlaces(8)
        for number in 0..<6 {
            _ = places.enter(number, .account(UInt32(number)), now: time(number)) { _ in false }
            places.prove(number, agent)
        }
        for number in 6..<8 { _ = places.enter(number, .account(50), now: time(number)) { _ in false } }
        places.touch(0, now: time(20))
        #expect(places.enter(8, .account(60), now: time(21)) { _ in false } == [1])
        #expect(places.enter(9, .account(61), now: time(22)) { $0 == 2 } == [3], "what is busy never gives way")
        places.leave(4)
        #expect(places.enter(10, .account(62), now: time(23)) { _ in false } == [])
    }

    @Test("Where all are busy, whoever comes must go")
    func busy() {
        var places = ConnectionPlaces(4)
        for number in 0..<4 {
            _ = places.enter(number, .account(1), now: time(number)) { _ in true }
            places.prove(number, agent)
        }
        #expect(places.enter(4, .account(2), now: time(9)) { _ in true } == [4])
        #expect(places.count == 4)
    }

    @Test("Whatever a crowd does, those who hold less than it keep what they have")
    func crowd() {
        var random = SeededGenerator(for: "a crowd of connections", standard: 11)
        for _ in 0..<50 {
            let most = Int.random(in: 8...64, using: &random)
            var places = ConnectionPlaces(most)
            // One agent with one connection, another account that waits for its proof.
            #expect(places.enter(-1, .account(1), now: start) { _ in false } == [])
            places.prove(-1, agent)
            #expect(places.enter(-2, .account(2), now: start) { _ in false } == [])
            var theirs: Set<Int> = []
            for number in 0..<300 {
                switch Int.random(in: 0..<4, using: &random) {
                case 0:
                    if let one = theirs.randomElement(using: &random) {
                        places.leave(one)
                        theirs.remove(one)
                    }
                case 1:
                    if let one = theirs.randomElement(using: &random) {
                        places.prove(one, AgentID(team: "support", name: "crowd"))
                    }
                default:
                    theirs.insert(number)
                    let all = places.enter(number, .account(3), now: time(number)) { _ in false }
                    for ended in all {
                        #expect(ended >= 0, "seed \(random.seed)")
                        theirs.remove(ended)
                    }
                }
                #expect(places.count == theirs.count + 2 && places.count <= most, "seed \(random.seed)")
            }
        }
    }
}
