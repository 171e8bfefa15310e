import EnsignModel
import EnsignSystem
import Glibc

/// Reads the files of a live directory as far as they are whose they should be.
///
/// Signatures say that a file was published; this says that nobody else can write here. Both are asked: an account that can
/// write can take files away, and put back older ones.
struct LiveFiles: Sendable {
    let root: String
    /// Who must own everything.
    let owner: UInt32

    /// A file's bytes; nil when there is none.
    ///
    /// The folders on the way to it are looked at, too: whoever may write there may put another file in its place.
    func read(_ path: String, limit: Int) throws(LiveTrouble) -> [UInt8]? {
        var folder = root
        let parts = path.split(separator: "/")
        do throws(SystemError) {
            guard try check(Files.canonicalStatus(folder), folder, isRoot: true) else {
                throw SystemError(code: ENOENT, operation: "read \(root)")
            }
            for part in parts.dropLast() {
                folder += "/\(part)"
                guard try check(Files.status(folder), folder, isRoot: false) else { return nil }
            }
            let whole = "\(root)/\(path)"
            let file: FileDescriptor
            do throws(SystemError) {
                file = try FileDescriptor(whole, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, operation: "read \(whole)")
            } catch {
                if error.isMissing { return nil }
                throw error
            }
            let status = try file.status(whole)
            guard status.kind == .file else { throw SystemError(code: EINVAL, operation: "read \(whole) as a file") }
            try check(status, whole)
            return try file.read(limit: limit, from: whole)
        } catch {
            throw LiveTrouble(error.code == EPERM ? error.operation : error.description)
        }
    }

    /// The agents whose routes are there by name.
    func agents() throws(LiveTrouble) -> [AgentID] {
        let folder = "\(root)/\(LivePath.agents)"
        do throws(SystemError) {
            var agents: [AgentID] = []
            for team in try Files.list(folder) ?? [] where !team.hasPrefix(".") {
                for name in try Files.list("\(folder)/\(team)") ?? [] {
                    if let agent = LivePath.agent(atRoute: "\(LivePath.agents)/\(team)/\(name)") {
                        agents.append(agent)
                    }
                }
            }
            return agents
        } catch {
            throw LiveTrouble(error.description)
        }
    }

    /// - Returns: False for a folder that is not there.
    private func check(_ status: FileStatus?, _ path: String, isRoot: Bool) throws(SystemError) -> Bool {
        guard let status else { return false }
        guard status.kind == .directory else { throw SystemError(code: ENOTDIR, operation: "read \(path)") }
        try check(status, path)
        return true
    }

    private func check(_ status: FileStatus, _ path: String) throws(SystemError) {
        guard status.owner == owner else {
            throw SystemError(
                code: EPERM,
                operation: "\(path) belongs to the account \(status.owner), and \(owner) must own it"
            )
        }
        guard status.permissions & 0o002 == 0 else {
            throw SystemError(code: EPERM, operation: "everybody may write to \(path)")
        }
    }
}

extension Files {
    /// What a path leads to, symbolic links followed; nil when there is nothing.
    static func canonicalStatus(_ path: String) throws(SystemError) -> FileStatus? {
        let status = try status(path)
        guard status?.kind == .symlink else { return status }
        guard let real = canonical(path) else { return nil }
        return try Files.status(real)
    }
}
