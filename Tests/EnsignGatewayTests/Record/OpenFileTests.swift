import EnsignSystem
import EnsignTestSupport
import Glibc
import Testing

@testable import EnsignGateway

@Suite("Locks of the state")
struct OpenFileTests {
    @Test("One that somebody holds on and on is given up, by others who want it then at once, until it is there again")
    func patience() throws {
        let scratch = try ScratchDirectory()
        let path = try scratch.write("lock", "")
        func open() throws -> OpenFile { try OpenFile(FileDescriptor(path, O_RDWR), path) }
        let (holder, own) = (try open(), try open())
        try holder.lock(path)
        let began = ContinuousClock.now
        #expect(throws: SystemError.self) { try own.lock(path, patience: .seconds(1)) }
        for _ in 0..<20 { #expect(throws: SystemError.self) { try own.lock(path, patience: .seconds(1)) } }
        #expect(ContinuousClock.now - began < .seconds(10))
        flock(holder.descriptor.number, LOCK_UN)
        try own.lock(path, patience: .seconds(1))
    }
}
