import EnsignJSON
package import EnsignJudge
package import EnsignLedger
import EnsignModel

/// How much each agent runs: a record for each, sorted by agent.
///
/// Beside the telemetry pipeline's checkpoint and written with it, so that a plan need not read that. A summary: after a
/// crash it may lack some seconds. It cannot be made again from telemetry that is read and gone.
extension TrafficBook: StateValue {
    package static let kind = StateKind(
        "state/<env>/traffic",
        .memory,
        limit: 1 << 27,
        formerly: "cache/<env>/traffic"
    )

    package init(_ contents: StateContents) { self.init(Self.agents(contents.records)) }

    /// Of 0.1.0: an object in a line for each agent.
    package init(former bytes: [UInt8]) {
        var agents: [AgentID: Traffic] = [:]
        for line in bytes.split(separator: 0x0A) {
            guard let json = try? JSONParser.parse(Array(line)), let traffic = Traffic(json: json),
                let agent = json["agent"]?.string.flatMap({ AgentID($0) })
            else { continue }
            agents[agent] = traffic
        }
        self.init(agents)
    }

    package var contents: StateContents {
        StateContents(
            [:],
            records: agents.sorted { $0.key < $1.key }.map { agent, traffic in
                StateRecord(agent.description, traffic.json(agent))
            }
        )
    }

    /// What is kept of these agents; others cost nothing. What cannot be read counts as none: a plan does without.
    static func kept(in file: StateFile<TrafficBook>, of wanted: Set<AgentID>) -> [AgentID: Traffic] {
        // 0.1.0's own is read once the pipeline has taken it over.
        guard let contents = try? file.contents() else { return [:] }
        return agents(contents.records) { wanted.contains($0) }
    }

    private static func agents(
        _ records: [StateRecord],
        where isWanted: (AgentID) -> Bool = { _ in true }
    ) -> [AgentID: Traffic] {
        var found: [AgentID: Traffic] = [:]
        for record in records {
            guard let agent = AgentID(record.key), isWanted(agent), let json = record.value,
                let traffic = Traffic(json: json)
            else { continue }
            found[agent] = traffic
        }
        return found
    }
}
