package import EnsignModel
package import EnsignTargets
import Synchronization

/// A target in memory that can be inspected, damaged, and made to fail at any single step.
///
/// It follows the rules of ``Target``; `TargetConformanceTests` runs the same suite on it as on the directory target.
package final class MemoryTarget: Target {
    /// What is at a path.
    package enum Node: Sendable, Hashable {
        case file([UInt8])
        /// A file under permissions that may keep agents from reading it.
        case hidden([UInt8])
        /// Something that is not a file: a link, a pipe.
        case other
    }

    /// The error of a step that was set to fail.
    package struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        package var step: Int
        package var description: String { "step \(step) of the target was told to fail" }
    }

    /// How it fails.
    package enum Trouble: Sendable, Hashable {
        /// At one step, counted from 0, and at no other.
        case at(Int)
        /// At one step and all later ones, as if the process had been killed there.
        case from(Int)
        /// There is no room for new files; existing ones can be removed.
        case full
    }

    fileprivate struct State {
        var nodes: [String: Node] = [:]
        /// The number of reads and changes of single files.
        var steps = 0
        var trouble: Trouble?
        var obstacle: String?
    }

    private let state = Mutex(State())

    package init() {}

    package var description: String { "memory" }

    // MARK: What tests do with it

    /// Everything that is there, by path.
    package var nodes: [String: Node] { state.withLock { $0.nodes } }

    /// The steps that were taken so far.
    package var steps: Int { state.withLock { $0.steps } }

    /// Makes it fail from now on; nil ends this. Steps are counted from here.
    package func fail(_ trouble: Trouble?) {
        state.withLock { ($0.trouble, $0.steps) = (trouble, 0) }
    }

    /// Makes it unfit for use, or fit again.
    package func setObstacle(_ why: String?) { state.withLock { $0.obstacle = why } }

    /// Puts something at a path, as somebody other than Ensign would: whatever is above or below it makes way. Nil
    /// removes it.
    package func set(_ path: String, _ node: Node?) {
        state.withLock { state in
            state.clear(path)
            if let node { state.makeWay(for: path, node) } else { state.nodes[path] = nil }
        }
    }

    // MARK: Target

    package func obstacle() throws -> String? { try step { $0.obstacle } }

    package func read(_ path: String) throws -> [UInt8]? {
        try step { state in
            switch state.nodes[path] {
            case .file(let bytes), .hidden(let bytes): bytes
            case .other, nil: nil
            }
        }
    }

    package func agents(of team: String?) throws -> [AgentID] {
        try step { state in
            state.nodes.keys.compactMap { LivePath.agent(atRoute: $0) }.filter { team == nil || $0.team == team }
                .sorted()
        }
    }

    @discardableResult
    package func publish(_ publication: Publication, gate: (any RouteGate)?) throws -> Set<AgentID> {
        var held: Set<AgentID> = []
        for path in publication.clearings { try step { $0.clear(path) } }
        for file in publication.bundles { try put((file.path, try file.content.read())) }
        for (path, content) in publication.routes {
            let file = (path: path, bytes: try content.read())
            guard let gate, let agent = LivePath.agent(atRoute: file.path) else {
                try put(file)
                continue
            }
            try gate.pass { isHeld in
                if isHeld(agent, file.bytes) { held.insert(agent) } else { try put(file) }
            }
        }
        for path in publication.removals { try step { $0.clear(path) } }
        if let header = publication.header { try put((LivePath.header, header)) }
        return held
    }

    package func halt(_ routes: [(agent: AgentID, bytes: [UInt8])]) throws -> Set<AgentID> {
        var removed: Set<AgentID> = []
        var failure: (any Error)?
        for (agent, bytes) in routes {
            let path = LivePath.route(agent)
            do {
                try step { state in
                    guard let present = state.nodes[path], present != .file(bytes) else { return }
                    if state.trouble == .full {
                        state.clear(path)
                        removed.insert(agent)
                    } else {
                        state.makeWay(for: path, .file(bytes))
                    }
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return removed
    }

    package func observe(_ expected: any ExpectedFiles, _ scope: ObservationScope, sweeping: Bool) throws
        -> Observation
    {
        // Everything is in memory: there is nothing to continue later.
        var comparison = MemoryComparison(nodes: try step { $0.nodes }, expected: expected)
        try comparison.look(into: "")
        return Observation(
            drift: comparison.drift.sorted { $0.path < $1.path },
            cursor: ObservationCursor(),
            filesSeen: comparison.filesSeen
        )
    }

    private func put(_ file: (path: String, bytes: [UInt8])) throws {
        let hasRoom = try step { state in
            guard state.trouble != .full else { return false }
            state.makeWay(for: file.path, .file(file.bytes))
            return true
        }
        if !hasRoom { throw Failure(step: steps) }
    }

    /// One read or change: all of it happens, or nothing.
    private func step<Answer: Sendable>(_ body: (inout State) -> Answer) throws -> Answer {
        let result: Result<Answer, Failure> = state.withLock { state in
            let number = state.steps
            state.steps += 1
            switch state.trouble {
            case .at(number): return .failure(Failure(step: number))
            case .from(let first) where number >= first: return .failure(Failure(step: number))
            case .at, .from, .full, nil: return .success(body(&state))
            }
        }
        return try result.get()
    }
}

extension MemoryTarget.State {
    /// Removes what is at a path and below it.
    mutating func clear(_ path: String) {
        nodes = nodes.filter { $0.key != path && !$0.key.hasPrefix(path + "/") }
    }

    /// Puts a node in place; a file where a folder belongs makes way, and so does a folder where a file belongs.
    mutating func makeWay(for path: String, _ node: MemoryTarget.Node) {
        clear(path)
        var folder = path[...]
        while let slash = folder.lastIndex(of: "/") {
            folder = folder[..<slash]
            nodes[String(folder)] = nil
        }
        nodes[path] = node
    }
}
