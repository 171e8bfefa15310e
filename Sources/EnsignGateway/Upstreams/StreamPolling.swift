import EnsignMCP

/// When a server is asked for the rest of a stream that ended, or broke, before the answer was in it (MCP 2025-11-25, "Resumability
/// and Redelivery"; a server that means its clients to come back for it "polls").
struct StreamPolling {
    /// How often in a row nobody was there to be asked.
    private var absences = 0

    /// Where the server names no time.
    private static let usual = Duration.seconds(1)
    /// Whatever the server says: it must not keep a thread spinning.
    private static let least = Duration.milliseconds(100)
    /// A server that is gone is not waited for until the call's time is over.
    private static let mostAbsences = 3

    /// How long it is left alone before it is asked; nil where it is not asked.
    mutating func wait(after web: WebAnswer) -> Duration? {
        guard !web.place.id.isEmpty else { return nil }
        switch web.end {
        case .failed where web.status == 0: absences += 1
        case .done where web.hasGoodStream, .failed where web.hasGoodStream: absences = 0
        case .done, .failed, .enough, .tooLong, .timedOut, .cancelled, .withdrawn: return nil
        }
        return absences < Self.mostAbsences ? max(web.place.retry ?? Self.usual, Self.least) : nil
    }
}
