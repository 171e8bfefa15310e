import EnsignModel

/// When a span happened, as far as that can be believed, and when it was read.
struct SpanTime: Sendable {
    /// When it ended, never after it was read.
    var end: Moment
    /// When it was read.
    var read: Moment
    /// Why its own times are not taken; nil where they are.
    var problem: Rejection?

    /// - Parameter end: When it ended by its own clock.
    init(end: Moment, read: Moment) {
        (self.end, self.read) = (min(end, read), read)
    }

    /// Takes a span's own times where they can be true, else the time at which it was read.
    init(of event: SpanEvent, read: Moment, _ limits: Attribution.Limits) {
        if event.start.nanoseconds <= 0 || event.end < event.start {
            problem = .badTime
        } else if event.end > read.advanced(milliseconds: limits.skewMilliseconds) {
            problem = .future
        } else if event.end < read.advanced(milliseconds: -limits.oldestMilliseconds) {
            problem = .stale
        }
        self.read = read
        end = problem == nil ? min(event.end, read) : read
    }
}
