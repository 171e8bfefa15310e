import EnsignJSON
import EnsignJudge
import EnsignModel
import EnsignPlanner
import EnsignSystem

/// `<git dir>/ensign/cache/<env>/traffic`: how much each agent runs, a line of canonical JSON each, sorted by agent.
///
/// Beside the telemetry pipeline's checkpoint and written with it, so that a plan need not read that. A summary: after a
/// crash it may lack some seconds.
enum TrafficFile {
    private static let limit = 1 << 27

    static func bytes(_ book: TrafficBook) -> [UInt8] {
        var bytes: [UInt8] = []
        for (agent, traffic) in book.agents.sorted(by: { $0.key < $1.key }) {
            traffic.json(agent).appendCanonical(to: &bytes)
            bytes.append(0x0A)
        }
        return bytes
    }

    /// Reads what is there of these agents, or of all; a line that cannot be read is none. What cannot be read at all is
    /// empty: a plan does without.
    static func read(_ path: String, of agents: Set<AgentID>? = nil) -> [AgentID: Traffic] {
        guard let bytes = (try? Files.readOwn(path, limit: limit)) ?? nil else { return [:] }
        var found: [AgentID: Traffic] = [:]
        for line in bytes.split(separator: 0x0A) {
            // "agent" is the first member: other lines are not parsed.
            guard line.starts(with: prefix),
                let agent = AgentID(
                    String(decoding: line.dropFirst(prefix.count).prefix { $0 != 0x22 }, as: UTF8.self)
                ),
                agents?.contains(agent) ?? true, let json = try? JSONParser.parse(Array(line)),
                let traffic = Traffic(json: json)
            else { continue }
            found[agent] = traffic
        }
        return found
    }

    private static let prefix = Array(#"{"agent":""#.utf8)
}
