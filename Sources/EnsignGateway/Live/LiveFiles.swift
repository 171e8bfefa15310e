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

    /// A file's bytes, and what shows later that nobody has touched it since.
    struct Content: Sendable {
        var bytes: [UInt8]
        /// Nil where a change might not show: only the bytes themselves tell.
        var mark: FileStatus?
    }

    /// A file's place, with the folders on the way to it: whoever may write there may put another file in its place.
    struct Place: Sendable {
        fileprivate let folders: [String]
        let path: String

        /// - Parameter path: Within the live directory.
        init(_ root: String, _ path: String) {
            let parts = path.split(separator: "/")
            folders = parts.indices.dropLast().map { "\(root)/" + parts[...$0].joined(separator: "/") }
            self.path = "\(root)/\(path)"
        }
    }

    func place(_ path: String) -> Place { Place(root, path) }

    /// A file's bytes; nil when there is none.
    func read(_ path: String, limit: Int) throws(LiveTrouble) -> [UInt8]? {
        try read(place(path), limit: limit)?.bytes
    }

    /// A file's bytes; nil when there is none.
    func read(_ place: Place, limit: Int) throws(LiveTrouble) -> Content? {
        try trouble { () throws(SystemError) in try content(of: place, limit) }
    }

    private func content(of place: Place, _ limit: Int) throws(SystemError) -> Content? {
        guard try checkFolders(place) else { return nil }
        let before = Machine.nanoseconds
        guard let opened = try open(place.path) else { return nil }
        let status = try opened.descriptor.status(place.path)
        guard status.kind == .file else { throw SystemError(code: EINVAL, operation: "read \(place.path) as a file") }
        try check(status, place.path)
        let isSettled = status.changed < before - Self.settled && opened.descriptor.isOnThisMachine
        return Content(
            bytes: try opened.descriptor.read(limit: limit, from: place.path),
            mark: isSettled ? status : nil
        )
    }

    private func open(_ path: String) throws(SystemError) -> OpenFile? {
        do throws(SystemError) {
            let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
            return try OpenFile(FileDescriptor(path, flags, operation: "read \(path)"), path)
        } catch {
            if error.isMissing { return nil }
            throw error
        }
    }

    /// What is at a place now: the same as a content's mark, if that is still what a reader would get.
    ///
    /// - Returns: Nil when there is nothing.
    func mark(of place: Place) throws(LiveTrouble) -> FileStatus? {
        try trouble { () throws(SystemError) in
            guard try checkFolders(place) else { return nil }
            return try Files.status(place.path)
        }
    }

    /// How long ago a file must have changed for its next change to have another time, in nanoseconds: kernels count in
    /// steps of up to ten milliseconds.
    private static let settled: Int64 = 50_000_000

    private func checkFolders(_ place: Place) throws(SystemError) -> Bool {
        guard try check(Files.canonicalStatus(root), root, isRoot: true) else {
            throw SystemError(code: ENOENT, operation: "read \(root)")
        }
        for folder in place.folders {
            guard try check(Files.status(folder), folder, isRoot: false) else { return false }
        }
        return true
    }

    private func trouble<Value>(_ body: () throws(SystemError) -> Value) throws(LiveTrouble) -> Value {
        do throws(SystemError) { return try body() } catch {
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
