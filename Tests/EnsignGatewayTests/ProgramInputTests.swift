import EnsignSystem
import Glibc
import Testing

@testable import EnsignGateway

@Suite("What a program reads")
struct ProgramInputTests {
    private static func pipes() -> [Int32] {
        _ = ignoresBrokenPipes
        var ends: [Int32] = [0, 0]
        #expect(unsafe pipe(&ends) == 0)
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        return ends
    }

    /// Reads all that there is.
    private static func drain(_ end: Int32) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        var read: [UInt8] = []
        while case let some = unsafe Glibc.read(end, &chunk, chunk.count), some > 0 { read += chunk[..<some] }
        return read
    }

    @Test("Behind half a line nobody writes before its rest: not who waits for its turn, not who comes later")
    func half() throws {
        let ends = Self.pipes()
        defer { for end in ends { close(end) } }
        let input = ProgramInput(ends[1])
        let long = [UInt8](repeating: 0x61, count: 1 << 20)
        let others = Condition([ProgramInput.Written]())
        let deadline = ContinuousClock.now + .milliseconds(300)
        let threads = try (0..<3).map { _ in
            try Thread {
                let written = input.write(long, until: deadline, nil, notice: { [0x63] })
                others.update { $0.append(written) }
            }
        }
        for thread in threads { thread.join() }
        let written = others.withLock { $0 }
        let halves = written.count { if case .some = $0 { true } else { false } }
        let nothings = written.count { if case .nothing = $0 { true } else { false } }
        #expect((halves, nothings) == (1, 2))
        let since = try #require(input.owedSince)
        #expect(input.goOn() == nil && input.owedSince == since, "it takes nothing")
        var read = Self.drain(ends[0])
        // There is room again, for the rest alone.
        guard case .nothing = input.write([0x62], until: .now + .milliseconds(50), nil) else {
            Issue.record("it was written")
            return
        }
        while input.owedSince != nil {
            #expect(input.goOn() == nil)
            read += Self.drain(ends[0])
        }
        guard case .all = input.write([0x62], until: .now + .seconds(5), nil) else {
            Issue.record("it was not written")
            return
        }
        #expect(read + Self.drain(ends[0]) == long + [0x0A, 0x63, 0x0A, 0x62, 0x0A])
    }

    @Test("What nobody waits for never waits, comes whole behind what is being written, and is kept within bounds")
    func left() throws {
        let ends = Self.pipes()
        defer { for end in ends { close(end) } }
        let input = ProgramInput(ends[1])
        #expect(input.leave([0x62]) == nil && input.owedSince == nil)
        #expect(Self.drain(ends[0]) == [0x62, 0x0A])
        let long = [UInt8](repeating: 0x61, count: 1 << 20)
        let writer = try Thread {
            guard case .all = input.write(long, until: .now + .seconds(10), nil) else {
                Issue.record("it was not written")
                return
            }
        }
        // Half of it is written.
        var polled = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&polled, 1, 5_000)
        var lines: [UInt8] = []
        let time = ContinuousClock().measure {
            while input.leave([0x63, 0x64]) == nil { lines += [0x63, 0x64, 0x0A] }
        }
        #expect(time < .seconds(5) && lines.count > ProgramInput.mostKept - 4 && lines.count <= ProgramInput.mostKept)
        var read: [UInt8] = []
        while read.count <= long.count { read += Self.drain(ends[0]) }
        writer.join()
        while input.owedSince != nil {
            #expect(input.goOn() == nil)
            read += Self.drain(ends[0])
        }
        #expect(read + Self.drain(ends[0]) == long + [0x0A] + lines)
        #expect(input.leave([0x62]) == nil, "there is room again")
    }

    @Test("Half a line to a program that has ended is nothing, and whoever waits behind one is told when it ends")
    func gone() throws {
        let ends = Self.pipes()
        defer { close(ends[1]) }
        let input = ProgramInput(ends[1])
        let long = [UInt8](repeating: 0x61, count: 1 << 20)
        let leaving = try Thread {
            var polled = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&polled, 1, 5_000)
            close(ends[0])
        }
        guard case .nothing(let failure) = input.write(long, until: .now + .seconds(5), nil) else {
            Issue.record("it was written")
            return
        }
        leaving.join()
        #expect(failure.kind == .ended)
        let others = Self.pipes()
        defer { for end in others { close(end) } }
        let deaf = ProgramInput(others[1])
        _ = deaf.write(long, until: .now, nil)
        let waiting = try Thread {
            guard case .nothing(let failure) = deaf.write([0x62], until: .now + .seconds(20), nil) else {
                Issue.record("it was written")
                return
            }
            #expect(failure.message == "over")
        }
        deaf.close(UpstreamFailure(.ended, "over"))
        waiting.join()
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
