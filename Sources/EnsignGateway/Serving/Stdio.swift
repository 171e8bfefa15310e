import EnsignSystem
import Glibc

/// Serves one client over standard input and output, until it closes its end.
package enum StdioFront {
    /// - Parameters:
    ///   - input: Blocking descriptors. They stay open.
    ///   - version: The gateway's own version.
    package static func serve(
        input: Int32 = 0,
        output: Int32 = 1,
        gatekeeper: any Gatekeeper,
        session: Session,
        version: String
    ) {
        let workers = WorkerPool()
        let watch = ReadingWatch()
        let connection = LineConnection(
            input: input,
            output: output,
            gatekeeper: gatekeeper,
            session: session,
            workers: workers,
            watch: watch,
            version: version
        )
        let teller = ChangeTeller()
        teller.add(connection)
        connection.serve()
        teller.stop()
        watch.stop()
    }
}

/// Tells open connections when their list of tools changes.
final class ChangeTeller: Sendable {
    private struct State {
        var connections: [ObjectIdentifier: LineConnection] = [:]
        var isStopped = false
    }

    private let state: Condition<State>
    private let thread: Thread?

    /// - Parameter interval: How often the route is looked at.
    init(every interval: Duration = .seconds(1)) {
        let state = Condition(State())
        self.state = state
        // Without a thread nobody is told, which clients must expect: each call asks for the route anyway.
        thread = try? Thread {
            while state.wait(until: .now + interval, { $0.isStopped ? true : nil }) == nil {
                for connection in state.withLock({ Array($0.connections.values) }) { connection.tellChanges() }
            }
        }
    }

    func add(_ connection: LineConnection) {
        state.withLock { $0.connections[ObjectIdentifier(connection)] = connection }
    }

    func remove(_ connection: LineConnection) {
        state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(connection)) }
    }

    func stop() {
        state.update { $0.isStopped = true }
        thread?.join()
    }
}
