import Synchronization
import Testing

@testable import EnsignGateway

@Suite("Cancellation")
struct CancellationTests {
    @Test("who watches is told once, also if it was cancelled before")
    func told() {
        let cancellation = Cancellation()
        let count = Mutex(0)
        cancellation.whileWatching({ count.withLock { $0 += 1 } }) {
            cancellation.cancel()
            cancellation.cancel()
        }
        cancellation.whileWatching({ count.withLock { $0 += 10 } }) {}
        #expect(count.withLock { $0 } == 11)
        #expect(cancellation.isCancelled)
    }

    @Test("who no longer watches is not told")
    func notTold() {
        let cancellation = Cancellation()
        let isTold = Mutex(false)
        cancellation.whileWatching({ isTold.withLock { $0 = true } }) {}
        cancellation.cancel()
        #expect(!isTold.withLock { $0 })
    }
}
