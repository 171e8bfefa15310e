import EnsignModel
import EnsignSystem

/// Tells one server of HTTP what needs no answer, on threads of its own: a server that takes its time for that holds up nobody.
///
/// Bounded: what finds no room, or is not taken in time, is not told.
final class WebTeller: Sendable {
    private struct State {
        var posts: [(post: WebChannel.Post, size: Int)] = []
        var bytes = 0
        var threads = 0
        var workers = WorkerPool()
        var cancellation = Cancellation()
    }

    private let channel: WebChannel
    private let state = Condition(State())

    private static let mostThreads = 8
    /// Of all that waits.
    private static let mostBytes = 256 << 10
    /// How long the server has for each.
    private static let patience = Duration.seconds(2)

    init(_ channel: WebChannel) { self.channel = channel }

    /// Tells it soon. Waits for nothing.
    func tell(_ message: JSONValue, _ method: String, _ era: UpstreamProtocol.Era?, _ session: String?) {
        let size = message.canonicalBytes().count
        state.withLock { state in
            guard state.bytes + size <= Self.mostBytes else { return }
            var post = WebChannel.Post(
                message,
                method: method,
                era: era,
                session: session,
                deadline: .now + Self.patience
            )
            post.cancellation = state.cancellation
            state.posts.append((post, size))
            state.bytes += size
            guard state.threads < Self.mostThreads, state.workers.run({ [self] in work() }) else { return }
            state.threads += 1
        }
    }

    private func work() {
        while let post = next() { _ = try? channel.send(post) { _ in true } }
    }

    private func next() -> WebChannel.Post? {
        state.withLock { state in
            guard !state.posts.isEmpty else {
                state.threads -= 1
                return nil
            }
            let first = state.posts.removeFirst()
            state.bytes -= first.size
            return first.post
        }
    }

    /// Forgets what is not told yet. It may be used again.
    func end() {
        let old = state.withLock { state in
            defer {
                (state.posts, state.bytes) = ([], 0)
                (state.workers, state.cancellation) = (WorkerPool(), Cancellation())
            }
            return (workers: state.workers, cancellation: state.cancellation)
        }
        old.cancellation.cancel()
        old.workers.stop()
    }
}
