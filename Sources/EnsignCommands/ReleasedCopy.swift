import EnsignGit
import EnsignHost
import EnsignManifest
import EnsignModel
import EnsignReconciler
import EnsignSystem

/// The folder of a release: a copy of the version that it freezes, in the work tree and in the index.
struct ReleasedCopy {
    private let site: Site
    private let root: String
    private let fleet: Fleet
    private let source: LoadedAgent
    private let version: SemanticVersion
    /// Where it is.
    private let path: String

    /// - Parameters:
    ///   - root: The work tree's, ending in `/`.
    ///   - source: What is frozen.
    init(site: Site, root: String, fleet: Fleet, of source: LoadedAgent, as version: SemanticVersion) {
        (self.site, self.root, self.fleet, self.source, self.version) = (site, root, fleet, source, version)
        path = root + RepositoryPath.version(version, of: source.id)
    }

    /// Whether it was made already, and then not staged: a run that was killed leaves that.
    func isUnstaged() throws -> Bool {
        guard let present = try fleet.agent(source.id, .release(version)), try Files.status(path)?.kind == .directory,
            present.files.allSatisfy({ $0.kind == .file }),
            try Git.check(["--work-tree", root, "ls-files", "--", path], in: site).isEmpty
        else { return false }
        return try contents(present) == contents(source)
    }

    private func contents(_ agent: LoadedAgent) throws -> [String: [UInt8]] {
        var contents: [String: [UInt8]] = [:]
        for file in agent.files where file.kind == .file { contents[file.name] = try fleet.snapshot.bytes(of: file) }
        return contents
    }

    /// Makes and stages it, or nothing.
    func make(now: Timestamp) throws {
        guard let folder = Files.parent(of: path) else { return }
        Files.removeLeftovers(in: folder, now: now)
        // Made under another name, which nothing else has: an interrupted copy is never taken for a release, nor filled up.
        let temporary = Files.temporaryName(for: path)
        do {
            try Files.makeDirectories(temporary)
            for (name, bytes) in try contents(source) { try Files.replace("\(temporary)/\(name)", with: bytes) }
            try Files.rename(temporary, to: path)
        } catch {
            try? Files.removeTree(temporary)
            throw error
        }
        do { try stage() } catch {
            try? Files.removeTree(path)
            throw error
        }
    }

    /// Adds it to the index, whatever is ignored: a release is whole.
    func stage() throws {
        // Git keeps what is new out as well, where it keeps out what is beside it.
        let isSparse = try site.configuration.bool("core.sparsecheckout") == true
        let options = ["-f"] + (isSparse ? ["--sparse"] : [])
        try Git.check(["--work-tree", root, "add"] + options + ["--", path], in: site)
    }
}
