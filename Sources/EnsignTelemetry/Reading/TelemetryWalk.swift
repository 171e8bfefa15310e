import EnsignModel
import EnsignSystem

/// One look at everything in a directory of telemetry, in bounded pieces: first the folders of agents, then the files
/// beside them. So who speaks for whom is known before anything is read that is in no folder.
///
/// `<directory>/<team>/<agent>/` is the folder of an agent. No symbolic link is followed on the way to it. What a stranger
/// may make in the directory is not a team: a team's folder belongs to the directory's owner, to root or to this account, and
/// others may not write in it.
final class TelemetryWalk {
    struct Found {
        /// Whose folder it is in; nil for none.
        var folder: AgentID?
        var name: String
        var status: FileStatus
        /// Who owns the folder.
        var folderOwner: UInt32

        /// Below the directory.
        var path: String { folder.map { "\($0)/\(name)" } ?? name }
    }

    /// Agents that have a folder; all of them once the first stage is over.
    private(set) var agents: Set<AgentID> = []
    /// Folders that are followed, below the directory, teams before their agents.
    private(set) var folders: [String] = []
    /// Folders that look binding but are not, in sentences.
    private(set) var problems: [String] = []
    /// What is there and cannot be looked at, below the directory; some of it.
    private(set) var unreadable: [String] = []

    private enum Stage { case teams, agents, files, done }

    private let top: FolderStream
    private let topStatus: FileStatus
    private let account: UInt32
    private var stage = Stage.teams
    private var teams: [String] = []
    private var team: (name: String, stream: FolderStream)?
    private var agent: (id: AgentID, stream: FolderStream, owner: UInt32)?

    static let teamLimit = 10_000
    static let problemLimit = 5

    /// - Parameter account: The user that this process runs as.
    /// - Returns: Nil when there is no such directory.
    init?(_ directory: String, account: UInt32) throws(SystemError) {
        guard let top = try FolderStream.open(directory) else { return nil }
        self.top = top
        self.account = account
        topStatus = try top.status()
    }

    var isDone: Bool { stage == .done }

    /// Whether it is known who has a folder.
    var knowsFolders: Bool { stage == .files || stage == .done }

    /// Looks at so many names more.
    ///
    /// - Parameter found: Files, whatever they are called.
    func look(at count: Int, _ found: (Found) -> Void) throws(SystemError) {
        for _ in 0..<count where stage != .done {
            switch stage {
            case .teams: try findTeam()
            case .agents: try findInTeams(found)
            case .files: try findFile(found)
            case .done: return
            }
        }
    }

    private func findTeam() throws(SystemError) {
        guard let entry = try top.next() else {
            stage = .agents
            return
        }
        guard entry.mayBeFolder, Name.isValid(entry.name), teams.count < Self.teamLimit,
            let status = try top.status(of: entry.name), status.kind == .directory
        else { return }
        teams.append(entry.name)
    }

    private func findInTeams(_ found: (Found) -> Void) throws(SystemError) {
        if let agent {
            guard let entry = try agent.stream.next() else {
                self.agent = nil
                return
            }
            try look(at: entry.name, in: agent.stream, agent.id, agent.owner, found)
        } else if let team {
            guard let entry = try team.stream.next() else {
                self.team = nil
                return
            }
            guard entry.mayBeFolder, Name.isValid(entry.name) else { return }
            try enter(AgentID(team: team.name, name: entry.name), team.stream)
        } else if let name = teams.popLast() {
            try enterTeam(name)
        } else {
            top.rewind()
            stage = .files
        }
    }

    private func enterTeam(_ name: String) throws(SystemError) {
        do throws(SystemError) {
            guard let stream = try top.open(inside: name) else { return }
            let status = try stream.status()
            guard isTrusted(status) else {
                if try hasFolder(stream) {
                    note("\(name)/ binds nobody: it belongs to somebody else, or others may write in it")
                }
                return
            }
            team = (name, stream)
            folders.append(name)
        } catch {
            note("\(name)/ cannot be looked at: \(error.reason)")
            // A stranger's folder binds nobody, whatever is in it.
            if let status = (try? top.status(of: name)) ?? nil, isTrusted(status) { noteUnreadable("\(name)/") }
        }
    }

    private func isTrusted(_ status: FileStatus) -> Bool {
        [0, account, topStatus.owner].contains(status.owner) && status.permissions & 0o002 == 0
    }

    private func hasFolder(_ stream: FolderStream) throws(SystemError) -> Bool {
        for _ in 0..<100 {
            guard let entry = try stream.next() else { return false }
            if entry.mayBeFolder, Name.isValid(entry.name) { return true }
        }
        return false
    }

    private func enter(_ id: AgentID, _ team: FolderStream) throws(SystemError) {
        do throws(SystemError) {
            guard let stream = try team.open(inside: id.name) else { return }
            agent = (id, stream, try stream.status().owner)
        } catch {
            // It is there and cannot be read: nobody else speaks for the agent all the same.
            note("\(id)/ cannot be looked at: \(error.reason)")
            noteUnreadable("\(id)/")
        }
        agents.insert(id)
        folders.append(id.description)
    }

    private func findFile(_ found: (Found) -> Void) throws(SystemError) {
        guard let entry = try top.next() else {
            stage = .done
            return
        }
        try look(at: entry.name, in: top, nil, topStatus.owner, found)
    }

    private func look(
        at name: String,
        in stream: FolderStream,
        _ folder: AgentID?,
        _ owner: UInt32,
        _ found: (Found) -> Void
    ) throws(SystemError) {
        guard !name.hasPrefix(".") else { return }
        let status: FileStatus?
        do throws(SystemError) { status = try stream.status(of: name) } catch {
            if TelemetryFileName.isTelemetry(name) { noteUnreadable(folder.map { "\($0)/\(name)" } ?? name) }
            return
        }
        guard let status, status.kind == .file else { return }
        found(Found(folder: folder, name: name, status: status, folderOwner: owner))
    }

    private func note(_ problem: String) {
        if problems.count < Self.problemLimit { problems.append(problem) }
    }

    private func noteUnreadable(_ path: String) {
        if unreadable.count < Self.problemLimit { unreadable.append(path) }
    }
}
