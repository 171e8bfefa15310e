import EnsignModel
import Testing

@testable import EnsignReconciler

@Suite("A clock that is set")
struct ClockTests {
    private func clock(_ sinceBoot: Int64, wall: Int64, boot: String = "a") -> ClockFile {
        ClockFile(boot: boot, sinceBoot: sinceBoot, wall: 1_800_000_000 + wall)
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
}
