import EnsignSystem
import Foundation
import Testing

@Suite("Reading files and pipes")
struct ReadingTests {
    /// How long it takes to read so many bytes that come through a pipe.
    private func time(of count: Int) throws -> Duration {
        var best = Duration.seconds(100)
        for _ in 0..<3 {
            let pipe = Pipe()
            let output = pipe.fileHandleForWriting
            let writer = try EnsignSystem.Thread {
                let chunk = Data(repeating: 0x78, count: 65_536)
                for _ in 0..<count / chunk.count { try? output.write(contentsOf: chunk) }
                try? output.close()
            }
            let descriptor = FileDescriptor(owning: dup(pipe.fileHandleForReading.fileDescriptor))
            let clock = ContinuousClock()
            let start = clock.now
            let read = try descriptor.read(limit: 1 << 30, from: "a pipe")
            best = min(best, clock.now - start)
            writer.join()
            #expect(read.count == count)
        }
        return best
    }

    @Test("What a pipe gives is read in a time that follows its length")
    func linear() throws {
        let (short, long) = (try time(of: 4 << 20), try time(of: 64 << 20))
        #expect(long < short * 60 + .milliseconds(200))
    }
}
