import EnsignSystem

/// Sees to it that a client is heard whose thread has been at its call for long: another thread reads then.
///
/// So the thread that reads a short call makes it, too, and nobody has to be woken; and a call that waits for something
/// unforeseen keeps neither the next one waiting nor its own cancellation.
final class ReadingWatch: Sendable {
    private struct State {
        var connections: [LineConnection] = []
        var isStopped = false
    }

    private let state: Condition<State>
    private let thread: Thread?

    /// How long a call may take before another thread reads, and at most twice as long.
    private static let interval = Duration.milliseconds(20)

    init() {
        let state = Condition(State())
        self.state = state
        thread = try? Thread {
            while true {
                let connections = state.wait(until: nil) { state -> [LineConnection]? in
                    if state.isStopped { return [] }
                    defer { state.connections = [] }
                    return state.connections.isEmpty ? nil : state.connections
                }
                guard let connections, !connections.isEmpty else { return }
                let watched = connections.filter { $0.passOnIfLong() }
                state.withLock { $0.connections += watched }
                if state.wait(until: .now + Self.interval, { $0.isStopped ? true : nil }) != nil { return }
            }
        }
    }

    /// Whether there is somebody who watches: otherwise whoever makes a call lets another one read at once.
    var isThere: Bool { thread != nil }

    /// Looks at a connection from now on, until it says that it need not be looked at.
    func add(_ connection: LineConnection) { state.update { $0.connections.append(connection) } }

    func stop() {
        state.update { state in
            state.isStopped = true
            state.connections = []
        }
        thread?.join()
    }
}
