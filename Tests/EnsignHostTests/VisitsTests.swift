import EnsignModel
import Testing

@testable import EnsignHost

/// Who counts as a watcher when none holds the claim.
@Suite struct VisitsTests {
    private func at(_ seconds: Int64) -> Timestamp { Timestamp(seconds: 1_800_000_000 + seconds) }

    private func attendance(_ visits: Visits, at now: Int64, isWatched: Bool = false) -> Attendance {
        Attendance(isWatched: isWatched, visits, now: at(now))
    }

    @Test("One reconcile is a person, a second soon after it is a timer, until it stays away")
    func timer() {
        let once = Visits().adding(.run, at: at(0))
        #expect(attendance(once, at: 1) == Attendance(nil, nil))
        let twice = once.adding(.run, at: at(300))
        #expect(attendance(twice, at: 301) == Attendance(.timer, at(300)))
        #expect(attendance(twice, at: 300 + Visits.timerPeriod) == Attendance(.timer, at(300)))
        #expect(attendance(twice, at: 301 + Visits.timerPeriod) == Attendance(nil, at(300)))
        // A person who looks once the timer has died is not a timer, and does not hide how long it has been dead.
        let later = twice.adding(.run, at: at(5_000))
        #expect(attendance(later, at: 5_001) == Attendance(nil, at(300)))
    }

    @Test("Hooks and other commands are nobody's promise to come again")
    func passing() {
        let visits = Visits().adding(.passing, at: at(0)).adding(.passing, at: at(1)).adding(.run, at: at(2))
        #expect(attendance(visits, at: 3) == Attendance(nil, nil))
    }

    @Test("A watch counts while it holds its claim; its last visit says only since when it is gone")
    func watch() {
        let visits = Visits().adding(.watch, at: at(0))
        #expect(attendance(visits, at: 1, isWatched: true) == Attendance(.watch, at(0)))
        #expect(attendance(visits, at: 1) == Attendance(nil, at(0)))
    }

    @Test("Times in the future are none: the clock was set")
    func future() {
        let visits = Visits(run: at(1_000), timer: at(1_000))
        #expect(attendance(visits, at: 0).watcher == nil)
        #expect(visits.adding(.run, at: at(0)).timer == at(1_000))
    }
}

extension Attendance {
    fileprivate init(_ watcher: Watcher?, _ lastSeen: Timestamp?) {
        self.init(isWatched: false, Visits(), now: Timestamp(seconds: 0))
        (self.watcher, self.lastSeen) = (watcher, lastSeen)
    }
}
