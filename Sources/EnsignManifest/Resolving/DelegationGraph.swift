package import EnsignModel

/// Who hands work to whom in one environment.
package struct DelegationGraph: Sendable {
    package struct Edge: Sendable {
        package var to: AgentID
        /// Where the delegation is written.
        package var path: String
        package var position: Position
    }

    private var edges: [AgentID: [Edge]] = [:]

    package init() {}

    /// The agents that hand work to others, sorted.
    package var agents: [AgentID] { edges.keys.sorted() }

    package mutating func add(_ agent: AgentID, _ manifest: Agent, path: String) {
        guard !manifest.delegates.isEmpty else { return }
        edges[agent] = manifest.delegates.map { Edge(to: $0.value, path: path, position: $0.position) }
    }

    package mutating func merge(_ other: DelegationGraph) {
        edges.merge(other.edges) { first, _ in first }
    }

    /// One finding for each cycle that a walk in name order closes; a self-delegation is reported with the agent.
    package func cycles(in environment: String) -> [Finding] {
        enum Mark { case open, done }
        var marks: [AgentID: Mark] = [:]
        var findings: [Finding] = []
        for start in edges.keys.sorted() where marks[start] == nil {
            // An explicit stack: a chain of delegations may be as long as the fleet.
            var path: [(agent: AgentID, next: Int)] = [(start, 0)]
            marks[start] = .open
            while let (agent, next) = path.last {
                let outgoing = edges[agent] ?? []
                guard next < outgoing.count else {
                    marks[agent] = .done
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                let edge = outgoing[next]
                switch marks[edge.to] {
                case .done: break
                case .open where edge.to != agent:
                    let cycle = path.drop { $0.agent != edge.to }.map(\.agent.description) + [edge.to.description]
                    let shown = cycle.count > 8 ? cycle.prefix(7) + ["...", edge.to.description] : cycle[...]
                    findings.append(
                        Finding(
                            code: "delegation-cycle",
                            "delegation goes in a circle in '\(environment)': \(shown.joined(separator: " -> "))",
                            path: edge.path,
                            at: edge.position,
                            hint: "remove one of the delegations"
                        )
                    )
                case .open: break
                case nil:
                    marks[edge.to] = .open
                    path.append((edge.to, 0))
                }
            }
        }
        return findings
    }
}
