import Testing

@testable import EnsignSupervisor

@Suite("How soon live files are repaired")
struct RepairPaceTests {
    private let start = ContinuousClock.now

    @Test("Three repairs come at once; then they come after 1, 2, 4 and 8 seconds, and never after more than ten")
    func slower() {
        var pace = RepairPace()
        var now = start
        var calm: [Duration] = []
        for _ in 0..<10 {
            _ = pace.looked(hasRepaired: true, at: now)
            calm.append(pace.calm)
            now += pace.calm
        }
        #expect(calm == [0, 0, 0, 1, 2, 4, 8, 10, 10, 10].map { .seconds($0) })
    }

    @Test("It is said once when it slows down")
    func said() {
        var pace = RepairPace()
        let said = (0..<10).map { _ in pace.looked(hasRepaired: true, at: start) }
        #expect(said == [false, false, false, true, false, false, false, false, false, false])
    }

    @Test("Looks that find nothing change nothing, however many; time without a repair does")
    func quiet() {
        var pace = RepairPace()
        for _ in 0..<4 { _ = pace.looked(hasRepaired: true, at: start) }
        for milliseconds in 1..<5_000 { _ = pace.looked(hasRepaired: false, at: start + .milliseconds(milliseconds)) }
        #expect(pace.calm == .seconds(1))
        _ = pace.looked(hasRepaired: false, at: start + RepairPace.quiet)
        #expect(pace.calm == .zero)
    }

    @Test("Whoever writes as slowly as the calm is long stays slow")
    func patient() {
        var pace = RepairPace()
        for _ in 0..<10 { _ = pace.looked(hasRepaired: true, at: start) }
        for turn in 1..<20 { _ = pace.looked(hasRepaired: true, at: start + RepairPace.longest * turn) }
        #expect(pace.calm == RepairPace.longest)
    }
}
