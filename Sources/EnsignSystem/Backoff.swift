/// How long to wait before the next attempt: doubled after each failure, with jitter, so that many clones of one forge
/// do not ask at the same moment.
package struct Backoff: Sendable {
    private let base: Duration
    private let most: Duration
    private var failures = 0

    package init(base: Duration, most: Duration) {
        self.base = base
        self.most = most
    }

    package mutating func succeeded() { failures = 0 }
    package mutating func failed() { failures = min(failures + 1, 16) }

    /// The base after a success; after failures twice as long each time, up to the most. Plus or minus 10 %.
    package func delay(using generator: inout some RandomNumberGenerator) -> Duration {
        let factor = 1 << failures
        let wait = min(base * factor, max(most, base))
        return wait * Double.random(in: 0.9...1.1, using: &generator)
    }
}
