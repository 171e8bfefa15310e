import EnsignModel
import EnsignTargets
import Foundation
import Synchronization

/// A recorded state that is a list of files.
struct Recorded: ExpectedFiles {
    var files: [String: [UInt8]]

    func children(of folder: String) -> [String: ExpectedNode]? {
        var found: [String: ExpectedNode] = [:]
        for path in files.keys where folder.isEmpty || path.hasPrefix(folder + "/") {
            let rest = path.dropFirst(folder.isEmpty ? 0 : folder.count + 1).split(separator: "/")
            found[String(rest[0])] = rest.count == 1 ? .file : .folder
        }
        return found.isEmpty && !folder.isEmpty ? nil : found
    }

    func bytes(at path: String) -> [UInt8] { files[path] ?? [] }
    func matches(_ bytes: [UInt8], at path: String) -> Bool { files[path] == bytes }
}

/// A small live state: some agents, each with a bundle of its own, and a header.
struct LiveState {
    var agents: [AgentID]
    var version: String

    static let team = (1...20).map { AgentID(team: $0 % 2 == 0 ? "sales" : "support", name: "agent-\($0)") }.sorted()

    init(_ version: String, agents: [AgentID] = LiveState.team) {
        self.agents = agents
        self.version = version
    }

    /// Where the bundle of an agent is: in a folder named by the start of its digest, as real ones are.
    func bundle(_ agent: AgentID) -> String {
        let hash = (agent.description + version).utf8.reduce(UInt32(7)) { $0 &* 31 &+ UInt32($1) }
        let hex = String(hash, radix: 16)
        let digits = String(repeating: "0", count: 64 - hex.count) + hex
        return "bundles/\(digits.suffix(2))/\(digits.dropLast(2)).json"
    }

    func route(_ agent: AgentID) -> [UInt8] { Array("{\"bundle\": \"\(bundle(agent))\"}\n".utf8) }

    var header: [UInt8] { Array("{\"version\": \"\(version)\"}\n".utf8) }

    /// A whole publication of it.
    var publication: Publication {
        Publication(
            bundles: agents.map { (bundle($0), .bytes(content($0))) },
            routes: agents.map { (LivePath.route($0), .bytes(route($0))) },
            header: header
        )
    }

    private func content(_ agent: AgentID) -> [UInt8] { Array("the bundle of \(agent) \(version)\n".utf8) }

    /// What is there after it was published over nothing.
    var files: [String: [UInt8]] {
        let bundles = agents.map { (path: bundle($0), bytes: content($0)) }
        let routes = agents.map { (path: LivePath.route($0), bytes: route($0)) }
        let pairs = bundles + routes + [(LivePath.header, header)]
        return Dictionary(pairs.map { ($0.path, $0.bytes) }) { $1 }
    }

    static func halted(_ agent: AgentID) -> [UInt8] { Array("{\"halted\": \"\(agent)\"}\n".utf8) }
}

/// A gate that reports each route to a test, and holds back what the test says.
struct TestGate: RouteGate {
    var before: () throws -> Void = {}
    var isHeld: (AgentID, [UInt8]) -> Bool = { _, _ in false }

    func pass(_ body: (_ isHeld: (AgentID, [UInt8]) -> Bool) throws -> Void) throws {
        try before()
        try body(isHeld)
    }
}

/// Another writer that stops dead at the n-th route, as if it was killed there: it does nothing more, and cleans nothing
/// up. It is let go when the test is done with it.
final class StoppedWriter: Sendable {
    private let stopped = DispatchSemaphore(value: 0)
    private let released = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let hasStopped = Mutex(false)

    /// - Parameter count: How many routes are put in place before.
    init(_ target: any Target, _ publication: Publication, after count: Int) {
        Thread.detachNewThread { [self] in
            var seen = 0
            let gate = TestGate(isHeld: { [self] _, _ in
                if seen == count {
                    hasStopped.withLock { $0 = true }
                    stopped.signal()
                    released.wait()
                }
                seen += 1
                // Let go, it does not touch what others have done since.
                return seen > count
            })
            _ = try? target.publish(Publication(bundles: publication.bundles, routes: publication.routes), gate: gate)
            stopped.signal()
            ended.signal()
        }
        stopped.wait()
    }

    /// Whether it stopped on the way, and did not come to the end.
    var isStopped: Bool { hasStopped.withLock { $0 } }

    func letGo() {
        released.signal()
        ended.wait()
    }
}
