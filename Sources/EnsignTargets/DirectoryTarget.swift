package import EnsignModel
import EnsignSystem
import Glibc

/// A directory of static files, which agents read from the same machine or over a shared file system.
package struct DirectoryTarget: Target {
    /// Absolute, without a trailing slash.
    package let path: String

    package init(path: String) {
        self.path = path
    }

    /// Above this many files one syncfs is cheaper than syncing each.
    private static let manyFiles = 64

    package func obstacle() throws -> String? {
        guard let status = try Files.status(path) else {
            // It will be created: some folder above must allow that.
            var parent = Files.parent(of: path)
            while let folder = parent, try Files.status(folder) == nil { parent = Files.parent(of: folder) }
            guard let parent, Files.isWritable(parent) else { return "\(path) cannot be made" }
            return nil
        }
        let place = status.kind == .symlink ? try Files.canonical(path).flatMap(Files.status) : status
        guard place?.kind == .directory else { return "\(path) is not a directory" }
        guard Files.isWritable(path) else { return "\(path) cannot be written to" }
        return nil
    }

    package func read(_ path: String) throws -> [UInt8]? {
        let full = "\(self.path)/\(path)"
        // Larger than anything that is published, so it is not the published file.
        guard let status = try Files.status(full), status.kind == .file, status.size <= 1 << 26,
            try isBelowFolders(path)
        else { return nil }
        return try Files.read(full, limit: 1 << 26)
    }

    // MARK: Publishing

    @discardableResult
    package func publish(_ publication: Publication, gate: (any RouteGate)?) throws -> Set<AgentID> {
        try Files.makeDirectories(path)
        try remove(publication.clearings)
        try put(publication.bundles, gate: nil)
        let held = try put(publication.routes, gate: gate)
        try remove(publication.removals)
        if let header = publication.header { try put([(LivePath.header, .bytes(header))], gate: nil) }
        return held
    }

    /// Routes that are renamed while the gate is held: a halt waits for no more than these.
    private static let routesAtOnce = 16

    /// Writes files under temporary names, makes them durable together, then renames each.
    ///
    /// - Returns: The agents whose routes the gate held back.
    @discardableResult
    func put(_ files: [(path: String, content: FileContent)], gate: (any RouteGate)?) throws -> Set<AgentID> {
        guard !files.isEmpty else { return [] }
        var folders: Set<String> = []
        let pending = files.map { file in
            let final = "\(path)/\(file.path)"
            return PendingFile(final: final, temporary: Files.temporaryName(for: final), content: file.content)
        }
        var held: Set<AgentID> = []
        do {
            for file in pending {
                guard let folder = Files.parent(of: file.final) else {
                    preconditionFailure("a live file is in a folder")
                }
                if folders.insert(folder).inserted { try makeFolder(folder) }
            }
            try write(pending)
            if let gate {
                for start in stride(from: 0, to: files.count, by: Self.routesAtOnce) {
                    try gate.pass { isHeld in
                        for index in start..<min(start + Self.routesAtOnce, files.count) {
                            let file = pending[index]
                            if let agent = LivePath.agent(atRoute: files[index].path),
                                isHeld(agent, try file.content.read())
                            {
                                held.insert(agent)
                                try Files.remove(file.temporary)
                            } else {
                                try rename(file.temporary, over: file.final)
                            }
                        }
                    }
                }
            } else {
                for file in pending { try rename(file.temporary, over: file.final) }
            }
        } catch {
            for file in pending { try? Files.remove(file.temporary) }
            throw error
        }
        if folders.count > Self.manyFiles {
            let root = try FileDescriptor(path, O_RDONLY | O_DIRECTORY, operation: "sync \(path)")
            try root.syncFileSystem(path)
        } else {
            for folder in folders { try Files.syncDirectory(folder) }
        }
        return held
    }

    /// A file that is written beside its place first.
    private struct PendingFile: Sendable {
        var final: String
        var temporary: String
        var content: FileContent
    }

    /// Writes files under their temporary names, and makes them durable.
    private func write(_ files: [PendingFile]) throws {
        guard files.count > Self.manyFiles else {
            for (index, file) in files.enumerated() {
                let descriptor = try Self.write(file)
                // The last fsync flushes the disk's cache for all of them.
                if index == files.count - 1 {
                    try descriptor.sync(file.final)
                } else {
                    try descriptor.startSync(file.final)
                }
            }
            return
        }
        _ = try Parallel.map(files) { _ = try Self.write($0) }
        let root = try FileDescriptor(path, O_RDONLY | O_DIRECTORY, operation: "sync \(path)")
        try root.syncFileSystem(path)
    }

    private static func write(_ file: PendingFile) throws -> FileDescriptor {
        let descriptor = try FileDescriptor(
            file.temporary,
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
            mode: 0o644,
            operation: "write \(file.final)"
        )
        // Whatever the umask, agents must be able to read it.
        guard fchmod(descriptor.number, 0o644) == 0 else {
            throw SystemError(code: errno, operation: "set the mode of \(file.final)")
        }
        try descriptor.write(try file.content.read(), to: file.final)
        return descriptor
    }

    /// Makes a folder below the target; whatever is in its way there is removed, above all a link: its target must not
    /// matter here.
    private func makeFolder(_ folder: String) throws {
        var part = path
        for component in folder.dropFirst(path.count + 1).split(separator: "/") {
            part += "/\(component)"
            if let status = try Files.status(part), status.kind != .directory { try Files.remove(part) }
        }
        try Files.makeDirectories(folder)
    }

    private func rename(_ temporary: String, over final: String) throws {
        do {
            try Files.rename(temporary, to: final)
        } catch {
            guard [EISDIR, ENOTEMPTY, EEXIST].contains(error.code) else { throw error }
            try Files.removeTree(final)
            try Files.rename(temporary, to: final)
        }
    }

    /// Whether every folder above a live path is a folder, not a link to one.
    private func isBelowFolders(_ relative: String) throws -> Bool {
        var part = path
        for component in relative.split(separator: "/").dropLast() {
            part += "/\(component)"
            guard try Files.status(part)?.kind == .directory else { return false }
        }
        return true
    }

    private func remove(_ paths: [String]) throws {
        var folders: Set<String> = []
        for relative in paths {
            let full = "\(path)/\(relative)"
            // Never through a link in place of a folder.
            guard try isBelowFolders(relative) else { continue }
            if try Files.status(full) == nil, let folder = Files.parent(of: full) {
                // The listed file does not exist under its displayed name.
                _ = try Files.removeUndecodable(String(full.dropFirst(folder.count + 1)), in: folder)
            } else {
                try Files.removeTree(full)
            }
            if let folder = Files.parent(of: full) { folders.insert(folder) }
        }
        for folder in folders.sorted(by: >) {
            if folder == path { continue }
            if let names = try Files.list(folder), names.isEmpty { Files.removeEmptyDirectory(folder) }
            if let parent = Files.parent(of: folder), try Files.status(parent) != nil {
                try Files.syncDirectory(parent)
            }
            if try Files.status(folder) != nil { try Files.syncDirectory(folder) }
        }
    }
}
