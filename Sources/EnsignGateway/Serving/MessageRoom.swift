import EnsignModel
import Synchronization

/// The memory that clients' messages may take together, from their first byte to their answer; one agent's half of it.
final class MessageRoom: Sendable {
    private struct State {
        var taken: [AgentID: Int] = [:]
        var all = 0
    }

    private let most: Int
    private let state = Mutex(State())

    /// - Parameter most: Bytes.
    init(_ most: Int) { self.most = most }

    /// Takes room for a message, or a piece of one.
    func take(_ count: Int, _ agent: AgentID) -> Bool {
        state.withLock { state in
            let own = state.taken[agent] ?? 0
            guard own + count <= most / 2, state.all + count <= most else { return false }
            state.taken[agent] = own + count
            state.all += count
            return true
        }
    }

    /// Takes room whether there is any or not: what comes next finds less.
    func hold(_ count: Int, _ agent: AgentID) {
        state.withLock { state in
            state.taken[agent, default: 0] += count
            state.all += count
        }
    }

    func give(_ count: Int, _ agent: AgentID) {
        state.withLock { state in
            let own = state.taken[agent] ?? 0
            let given = min(count, own)
            state.taken[agent] = own > given ? own - given : nil
            state.all -= given
        }
    }
}

/// One agent's part of the room for messages.
struct AgentRoom: Sendable {
    let room: MessageRoom
    let agent: AgentID

    func take(_ count: Int) -> Bool { count == 0 || room.take(count, agent) }

    func give(_ count: Int) { if count > 0 { room.give(count, agent) } }
}
