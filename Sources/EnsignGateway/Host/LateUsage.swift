import EnsignModel
import Synchronization

/// What runs have used, from the first call on whose environment is known: a gateway may start before its live directory is
/// there.
final class LateUsage: UsageSource {
    private let made = Mutex<SpanUsage?>(nil)
    private let folder: String
    private let state: String
    private let live: LiveSource
    private let say: @Sendable (String) -> Void

    init(folder: String, state: String, live: LiveSource, say: @escaping @Sendable (String) -> Void) {
        (self.folder, self.state, self.live, self.say) = (folder, state, live, say)
    }

    func usage(of agent: AgentID, run: String, policy: GatewayPolicy?, now: Timestamp) -> RunUsage {
        source().usage(of: agent, run: run, policy: policy, now: now)
    }

    private func source() -> SpanUsage {
        made.withLock { made in
            if let made { return made }
            let source = SpanUsage(folder: folder, state: state, environment: live.knownEnvironment, say: say)
            made = source
            return source
        }
    }
}
