import EnsignTestSupport
import Foundation
import Synchronization
import Testing

/// A bare repository that hosts a fleet, and a clone to push from: what `make demo` makes, for one test.
final class Host: Sendable {
    let scratch: ScratchDirectory
    /// The bare repository.
    let bare: String
    /// The developer's clone.
    let work: String

    /// The program: what `ENSIGN` in the environment names, else the one that was built beside the test bundle.
    static let ensign: String = {
        if let given = ProcessInfo.processInfo.environment["ENSIGN"] { return given }
        let test = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return test.deletingLastPathComponent().appendingPathComponent("ensign").path
    }()

    /// The root of the package, with the sample fleet.
    static let package: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()

    /// - Parameters:
    ///   - named: The bare repository's name, for paths that are hard to handle.
    ///   - fleet: In place of the sample fleet.
    convenience init(named name: String = "fleet.git", fleet: FleetFixture? = nil, pushes: Bool = true) throws {
        try self.init(copying: HostTemplate.made(fleet, pushes: pushes), named: name)
    }

    /// Makes one from nothing, which takes some twenty programs.
    fileprivate init(new fleet: FleetFixture?, pushes: Bool) throws {
        scratch = try ScratchDirectory()
        bare = "\(scratch.path)/fleet.git"
        work = "\(scratch.path)/work"
        try must("git", "init", "-q", "--bare", "-b", "main", bare)
        try must(Self.ensign, "init", "--repo", bare)
        try must("git", "clone", "-q", bare, work)
        try git("checkout", "-q", "-B", "main")
        if let fleet {
            try fleet.write(to: "work", in: scratch)
        } else {
            for folder in ["fleet", "environments"] {
                try FileManager.default.copyItem(atPath: "\(Self.package)/\(folder)", toPath: "\(work)/\(folder)")
            }
            // A push is live at once; tests of canaries say what theirs is.
            let prod = "\(work)/environments/prod/environment.yaml"
            let text = try String(contentsOfFile: prod, encoding: .utf8)
            try text.replacing(/\ {2}rollout:.*\n(?:\ {4}.*\n)+/, with: "").write(
                toFile: prod,
                atomically: true,
                encoding: .utf8
            )
        }
        try git("add", "-A")
        try git("commit", "-q", "-m", "The fleet")
        if pushes { try git("push", "-q", "origin", "main") }
    }

    /// Another one of the same, with its own folder.
    private init(copying host: Host, named name: String) throws {
        scratch = try ScratchDirectory()
        bare = "\(scratch.path)/\(name)"
        work = "\(scratch.path)/work"
        try must("cp", "-a", host.bare, bare)
        try must("cp", "-a", host.work, work)
        try git("remote", "set-url", "origin", bare)
    }

    // MARK: Time

    private let ahead = Mutex(0.0)

    /// Lets time pass without waiting for it: for Ensign here, and for the hooks of what is pushed from here, so many
    /// more seconds have passed.
    func pass(seconds: Double) { ahead.withLock { $0 += seconds } }

    /// What the clock of Ensign here shows, in seconds since 1970.
    var now: Double { Date().timeIntervalSince1970 + ahead.withLock { $0 } }

    /// The environment of programs in which that time has passed.
    func time() throws -> [String: String] {
        let ahead = ahead.withLock { $0 }
        return ahead == 0 ? [:] : try World().ahead(ahead)
    }

    // MARK: Running

    private func must(_ program: String, _ arguments: String...) throws {
        let result = try EnsignTestSupport.run(program, arguments, in: scratch.path)
        guard result.status == 0 else {
            throw Failed(command: ([program] + arguments).joined(separator: " "), result: result)
        }
    }

    struct Failed: Error, CustomStringConvertible {
        var command: String
        var result: CommandResult
        var description: String { "\(command): status \(result.status)\n\(result.output)\n\(result.errors)" }
    }

    /// Runs git in the clone and returns its output; a non-zero status throws.
    @discardableResult
    func git(_ arguments: String...) throws -> String { try git(arguments, in: work) }

    /// Runs git in the bare repository.
    @discardableResult
    func hostGit(_ arguments: String...) throws -> String { try git(arguments, in: bare) }

    private func git(_ arguments: [String], in directory: String) throws -> String {
        let result = try EnsignTestSupport.run("git", arguments, in: directory, environment: time())
        guard result.status == 0 else { throw Failed(command: "git \(arguments)", result: result) }
        return result.output.trimmingCharacters(in: .newlines)
    }

    /// Runs git in the clone, whatever its status.
    func tryGit(_ arguments: String...) throws -> CommandResult {
        try EnsignTestSupport.run("git", arguments, in: work, environment: time())
    }

    /// Runs ensign in the bare repository, whatever its status.
    @discardableResult
    func ensign(_ arguments: String..., environment: [String: String] = [:]) throws -> CommandResult {
        try ensign(arguments: arguments, environment: environment)
    }

    func ensign(arguments: [String], environment: [String: String] = [:]) throws -> CommandResult {
        let world = try time().merging(environment) { _, new in new }
        return try EnsignTestSupport.run(Self.ensign, arguments, in: bare, environment: world)
    }

    /// Runs ensign in the clone, whatever its status.
    @discardableResult
    func ensignInWork(_ arguments: String...) throws -> CommandResult {
        try EnsignTestSupport.run(Self.ensign, arguments, in: work, environment: time())
    }

    // MARK: Files

    /// Changes a file of the clone by replacing text, which must be there.
    func edit(_ path: String, _ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: "\(work)/\(path)", encoding: .utf8)
        try #require(text.contains(old), "\(path) has no '\(old)'")
        try text.replacingOccurrences(of: old, with: new).write(
            toFile: "\(work)/\(path)",
            atomically: true,
            encoding: .utf8
        )
    }

    /// Edits, commits and pushes.
    @discardableResult
    func push(_ path: String, _ old: String, _ new: String, message: String = "Change") throws -> CommandResult {
        try edit(path, old, new)
        try git("commit", "-q", "-a", "-m", message)
        return try tryGit("push", "-q", "origin", "main")
    }

    func live(_ environment: String = "prod") -> String { "\(bare)/ensign/live/\(environment)" }

    /// A live file's bytes.
    func liveFile(_ path: String, _ environment: String = "prod") throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(live(environment))/\(path)"))
    }

    /// A live file without its proof: what it says.
    static func bare(_ file: Data) -> Data {
        let text = String(decoding: file, as: UTF8.self)
        return Data(text.replacing(/,"proof":{"entry":[0-9]+,"signature":"[^"]*"}/, with: "").utf8)
    }

    /// A live file as JSON.
    func liveJSON(_ path: String, _ environment: String = "prod") throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: liveFile(path, environment))
        return try #require(value as? [String: Any])
    }

    /// The digest that an agent's only route names.
    func digest(_ agent: String, _ environment: String = "prod") throws -> String {
        let routes = try #require(try liveJSON("agents/\(agent).json", environment)["routes"] as? [[String: Any]])
        return try #require(routes.last?["digest"] as? String)
    }

    /// Every file below the live directory, by path.
    func liveFiles(_ environment: String = "prod") throws -> [String: Data] {
        var files: [String: Data] = [:]
        let root = URL(fileURLWithPath: live(environment)).resolvingSymlinksInPath().path
        let paths = FileManager.default.enumerator(atPath: root)
        while let path = paths?.nextObject() as? String {
            var isFolder: ObjCBool = false
            let exists = unsafe FileManager.default.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder)
            if exists, !isFolder.boolValue {
                files[path] = try Data(contentsOf: URL(fileURLWithPath: "\(root)/\(path)"))
            }
        }
        // The header says when somebody looked: that is not what is live.
        if let header = files["fleet.json"] {
            let text = String(decoding: Self.bare(header), as: UTF8.self)
            files["fleet.json"] = Data(text.replacing(/,"heard":"[^"]*"/, with: "").utf8)
        }
        return files
    }

    // MARK: The ledger

    /// Commits of the ledger, newest first.
    func entries(_ environment: String = "prod") throws -> [String] {
        try hostGit("rev-list", "--first-parent", "refs/ensign/ledger/\(environment)").split(separator: "\n").map(
            String.init
        )
    }

    /// `entry.json` of a ledger commit.
    func entry(_ revision: String = "refs/ensign/ledger/prod") throws -> [String: Any] {
        let text = try hostGit("show", "\(revision):entry.json")
        return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    /// The kinds of the newest entries, oldest first.
    func kinds(_ environment: String = "prod") throws -> [String] {
        try entries(environment).reversed().map { try #require(try entry($0)["kind"] as? String) }
    }

    /// Fails the test unless the ledger verifies and the live directory is what it records.
    func expectSound(_ environment: String = "prod", sourceLocation: SourceLocation = #_sourceLocation) throws {
        let verify = try ensign("verify", "--env", environment)
        #expect(verify.status == 0, "\(verify.output)\(verify.errors)", sourceLocation: sourceLocation)
        let drift = try ensign("drift", "--env", environment, "--detailed-exitcode")
        #expect(drift.status == 0, "\(drift.output)\(drift.errors)", sourceLocation: sourceLocation)
    }
}

extension FleetFixture {
    /// Writes the texts as files below a folder.
    func write(to folder: String, in scratch: ScratchDirectory) throws {
        for (path, entry) in entries {
            guard case .text(let text) = entry else { continue }
            try scratch.write("\(folder)/\(path)", text)
        }
    }
}

/// Hosts that are made once for all tests, and copied: nobody but the copies ever sees them.
private enum HostTemplate {
    private static let hosts = Mutex<[String: Result<Host, any Error>]>([:])

    static func made(_ fleet: FleetFixture?, pushes: Bool) throws -> Host {
        let texts = fleet.map { fleet in
            fleet.entries.sorted { $0.key < $1.key }.map { "\($0.key)\n\($0.value)" }.joined(separator: "\n")
        }
        let key = "\(pushes) \(texts ?? "sample")"
        // Whoever needs the same one meanwhile waits for it.
        return try hosts.withLock { hosts in
            if let known = hosts[key] { return try known.get() }
            let made = Result { try Host(new: fleet, pushes: pushes) }
            if case .success(let host) = made { host.scratch.removeAtExit() }
            hosts[key] = made
            return try made.get()
        }
    }
}
