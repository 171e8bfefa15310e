import EnsignModel
import EnsignSystem

/// Watches the folders of a work tree that a few agents of one environment are made from.
///
/// What it misses is found by the clock: whoever waits for it looks again after ``longest`` in any case.
struct WorkTreeWatch {
    private let root: String
    private let environment: String
    private let monitor: ChangeMonitor
    private let service: Service

    /// After which time to look, whatever was seen.
    static let longest: Duration = .seconds(5)
    /// How long files must rest before they are read: an editor writes several.
    private static let rest: Duration = .milliseconds(60)
    /// How long a restless work tree is waited for.
    private static let patience: Duration = .seconds(2)
    /// The most folders that are watched.
    private static let most = 10_000

    /// - Parameter service: Who waits for what is saved.
    init(root: String, environment: String, _ service: Service) {
        self.root = root
        self.environment = environment
        self.service = service
        monitor = ChangeMonitor(ChangeHub(), waking: service)
    }

    /// Watches what belongs to agents, folders that are new among it.
    ///
    /// - Returns: Whether something is watched that was not before: what happened there until now was not seen.
    func follow(_ agents: Set<AgentID>) -> Bool {
        var isNew = false
        var count = 0
        var open = [""]
        while let folder = open.popLast(), count < Self.most, !monitor.isBlind {
            count += 1
            let path = folder.isEmpty ? root : "\(root)/\(folder)"
            isNew = ((try? monitor.watch(path)) ?? false) || isNew
            for name in (try? Files.list(path)) ?? [] {
                let child = folder.isEmpty ? name : "\(folder)/\(name)"
                guard concerns(child, agents), (try? Files.status("\(root)/\(child)"))?.kind == .directory else {
                    continue
                }
                open.append(child)
            }
        }
        return isNew
    }

    /// Whether something below a path may matter. A fleet may have ten thousand agents beside these.
    private func concerns(_ path: String, _ agents: Set<AgentID>) -> Bool {
        let parts = path.split(separator: "/").map(String.init)
        switch parts[0] {
        case "fleet":
            guard parts.count > 2, parts[1] == "agents" else { return true }
            return agents.contains { $0.team == parts[2] && (parts.count < 4 || $0.name == parts[3]) }
        case "environments":
            guard parts.count > 1 else { return true }
            guard parts[1] == environment else { return false }
            guard parts.count > 3, parts[2] == "agents" else { return true }
            return agents.contains { $0.team == parts[3] }
        default: return false
        }
    }

    /// Waits until something was saved and rests, the service is stopped, or the time is over.
    ///
    /// - Returns: Whether something was saved.
    func wait(atMost time: Duration) -> Bool {
        guard hasNews(within: monitor.isBlind ? .seconds(1) : time) else { return false }
        let end = ContinuousClock.now + Self.patience
        while ContinuousClock.now < end, !service.isStopped, hasNews(within: Self.rest) {}
        return true
    }

    private func hasNews(within time: Duration) -> Bool {
        _ = service.wait(atMost: time)
        // What was dropped is news too.
        guard let events = try? monitor.events() else { return !monitor.isBlind }
        return !events.isEmpty
    }
}
