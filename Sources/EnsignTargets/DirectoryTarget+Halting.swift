package import EnsignModel
import EnsignSystem

extension DirectoryTarget {
    package func agents(of team: String?) throws -> [AgentID] {
        let teams = try team.map { [$0] } ?? Files.list("\(path)/\(LivePath.agents)") ?? []
        var agents: [AgentID] = []
        for team in teams where Name.isValid(team) {
            for name in try Files.list("\(path)/\(LivePath.agents)/\(team)") ?? [] {
                if let agent = LivePath.agent(atRoute: "agents/\(team)/\(name)") { agents.append(agent) }
            }
        }
        return agents.sorted()
    }

    package func halt(_ routes: [(agent: AgentID, bytes: [UInt8])]) throws -> Set<AgentID> {
        let files = try routes.filter { try !isThere($0.bytes, at: LivePath.route($0.agent)) }
        guard !files.isEmpty else { return [] }
        // All at once is quickest; if anything goes wrong, each is then tried separately.
        if (try? put(files.map { (LivePath.route($0.agent), .bytes($0.bytes)) }, gate: nil)) != nil { return [] }
        var removed: Set<AgentID> = []
        var failure: (any Error)?
        for (agent, bytes) in files {
            do {
                if try replace(LivePath.route(agent), with: bytes) == .removed { removed.insert(agent) }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return removed
    }

    private enum Replacement { case replaced, removed }

    /// Another process that holds the environment's lock may sweep away a temporary name, so this is retried; a file
    /// that cannot be replaced is removed.
    private func replace(_ path: String, with bytes: [UInt8]) throws -> Replacement {
        for _ in 0..<4 where (try? put([(path, .bytes(bytes))], gate: nil)) != nil { return .replaced }
        let full = "\(self.path)/\(path)"
        try Files.remove(full)
        if let folder = Files.parent(of: full) {
            do throws(SystemError) {
                try Files.syncDirectory(folder)
            } catch {
                guard error.isMissing else { throw error }
            }
        }
        return .removed
    }

    /// A missing route is left missing: readers treat it as none.
    private func isThere(_ bytes: [UInt8], at path: String) throws -> Bool {
        let full = "\(self.path)/\(path)"
        guard let status = try Files.status(full) else { return true }
        guard status.kind == .file, status.size == Int64(bytes.count) else { return false }
        return try Files.read(full, limit: bytes.count + 1) == bytes
    }
}
