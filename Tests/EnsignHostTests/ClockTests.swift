import EnsignModel
import Testing

@testable import EnsignHost

@Suite("A clock that is set")
struct ClockTests {
    private func clock(_ sinceBoot: Int64, wall: Int64, boot: String = "a") -> ClockReading {
        ClockReading(boot: boot, sinceBoot: sinceBoot, wall: 1_800_000_000 + wall)
    }

    @Test("It is set when it went another way than time by more than the tolerance; after a restart it is believed")
    func steps() {
        let start = clock(100, wall: 0)
        #expect(clock(160, wall: 60).step(since: start) == nil)
        #expect(clock(160, wall: 90).step(since: start) == nil)
        #expect(clock(160, wall: 91).step(since: start) == 31)
        #expect(clock(160, wall: 7_260).step(since: start) == 7_200)
        #expect(clock(160, wall: -3_540).step(since: start) == -3_600)
        #expect(clock(5, wall: 7_200, boot: "b").step(since: start) == nil)
    }

    @Test("Small steps add up, and the sum is told once")
    func smallSteps() {
        var reference = clock(100, wall: 0)
        var told: [Int64] = []
        for (second, error) in [(101, 25), (102, 50), (103, 75), (104, 100), (105, 100)] as [(Int64, Int64)] {
            let now = clock(second, wall: second - 100 + error)
            if let step = now.step(since: reference) { told.append(step) }
            reference = now.reference(after: reference)
        }
        #expect(told == [50, 50])
        // Another start of the machine: its clock is a new one.
        let restarted = clock(3, wall: 500, boot: "b")
        #expect(restarted.reference(after: reference) == restarted)
    }
}
