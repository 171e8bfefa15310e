import EnsignSystem
import Glibc
import Testing

@testable import EnsignGateway

@Suite("What a program reads")
struct ProgramInputTests {
    @Test("Behind half a line nobody writes, who waits for its turn neither")
    func half() throws {
        var ends: [Int32] = [0, 0]
        #expect(unsafe pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        defer { for end in ends { close(end) } }
        let input = ProgramInput(ends[1])
        let long = [UInt8](repeating: 0x61, count: 1 << 20)
        let others = Condition([ProgramInput.Written]())
        let deadline = ContinuousClock.now + .milliseconds(300)
        let threads = try (0..<3).map { _ in
            try Thread {
                let written = input.write(long, until: deadline, nil)
                others.update { $0.append(written) }
            }
        }
        for thread in threads { thread.join() }
        let written = others.withLock { $0 }
        let halves = written.count { if case .some = $0 { true } else { false } }
        let nothings = written.count { if case .nothing = $0 { true } else { false } }
        #expect((halves, nothings) == (1, 2))
        // There is room again, and still nothing may follow.
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        var count = 0
        while case let some = unsafe read(ends[0], &chunk, chunk.count), some > 0 { count += some }
        #expect(count > 0)
        guard case .nothing = input.write([0x62], until: .now + .seconds(5), nil) else {
            Issue.record("it was written")
            return
        }
        #expect(unsafe read(ends[0], &chunk, chunk.count) < 0)
    }

    @Test("Of what a program says last, whole lines are kept")
    func words() {
        var words = LastWords(most: 8)
        words.add(Array("ab\ncd".utf8)[...])
        #expect(words.lines == Array("ab\ncd".utf8))
        words.add(Array("ef\ngh".utf8)[...])
        #expect(words.lines == Array("cdef\ngh".utf8))
        words.add(Array("0123456789".utf8)[...])
        #expect(words.lines == [])
    }
}
