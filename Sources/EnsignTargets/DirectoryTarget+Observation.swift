import EnsignModel
import EnsignSystem

extension DirectoryTarget {
    /// A file's times may be this much older than the clock: the kernel stamps files by its tick.
    private static let clockSlack: Int64 = 20_000_000

    package func observe(
        _ expected: any ExpectedFiles,
        _ scope: ObservationScope,
        sweeping: Bool
    ) throws -> Observation {
        var observer = try DirectoryObserver(root: path, expected: expected, sweeps: sweeping)
        let now = Machine.fileTime
        switch scope {
        case .everything:
            observer.threshold = .min
            for folder in try observer.folders() { try observer.look(into: folder) }
            let cursor = SliceCursor(
                next: "",
                roundStart: now,
                verifiedBefore: now.subtracting(saturating: Self.clockSlack)
            )
            return observer.observation(cursor)
        case .slice(let kept, let suspects):
            var cursor = SliceCursor(kept)
            // The clock was set back: new changes would look older than files already read.
            let newest = cursor.lookedAt.values.max() ?? 0
            if max(cursor.verifiedBefore, cursor.roundStart, newest) > now { cursor = SliceCursor() }
            if cursor.next.isEmpty { cursor.roundStart = now }
            observer.threshold = cursor.verifiedBefore
            observer.lookedAt = cursor.lookedAt
            let folders = try observer.folders()
            let start = folders.firstIndex { $0 >= cursor.next } ?? folders.count
            var next: String?
            // Counts only what is in the slice: changed folders before it must not use it up, or it would never advance.
            var filesInSlice = 0
            for (index, folder) in folders.enumerated() {
                let hasChanged = try observer.hasChanged(folder)
                let isInSlice = index >= start && filesInSlice < SliceCursor.files
                if index >= start, !isInSlice, next == nil { next = folder }
                guard isInSlice || hasChanged || suspects.contains(folder) else { continue }
                let before = observer.filesSeen
                try observer.look(into: folder)
                if isInSlice { filesInSlice += observer.filesSeen - before + SliceCursor.filesOfFolder }
                if hasChanged, cursor.lookedAt.count < SliceCursor.maxFolders {
                    cursor.lookedAt[folder] = now.subtracting(saturating: Self.clockSlack)
                }
            }
            if let next {
                cursor.next = next
            } else {
                let verifiedBefore = cursor.roundStart.subtracting(saturating: Self.clockSlack)
                cursor = SliceCursor(
                    roundStart: cursor.roundStart,
                    verifiedBefore: verifiedBefore,
                    lookedAt: cursor.lookedAt.filter { $0.value > verifiedBefore }
                )
            }
            return observer.observation(cursor)
        }
    }
}

/// Compares folders of a directory with what is recorded, collecting what differs.
private struct DirectoryObserver {
    let root: String
    let expected: any ExpectedFiles
    /// Files that changed before this have been read since; see ``SliceCursor``.
    var threshold: Int64 = .min
    /// The same for single folders, if later.
    var lookedAt: [String: Int64] = [:]
    private(set) var filesSeen = 0
    private var drift: [DriftedFile] = []
    private var links: [String: Bool] = [:]

    private let sweeps: Bool

    /// From here each look goes two or three names deep, however deep the directory itself is. Nil when there is none.
    private let stream: FolderStream?

    init(root: String, expected: any ExpectedFiles, sweeps: Bool) throws {
        self.sweeps = sweeps
        self.root = root
        self.expected = expected
        stream = try FolderStream.open(root)
    }

    /// What is at a path below the directory; for the directory itself, what is at its own path.
    private func onDisk(_ path: String) throws -> FileStatus? {
        try path.isEmpty ? Files.status(root) : stream?.status(of: path)
    }

    func observation(_ cursor: SliceCursor) -> Observation {
        Observation(drift: drift.sorted { $0.path < $1.path }, cursor: cursor.cursor, filesSeen: filesSeen)
    }

    /// The folders that should exist, in the order of the rotating slice: `""`, `agents`, `agents/<team>`, `bundles`
    /// and so on.
    func folders() throws -> [String] {
        var result = [""]
        for top in try expected.folders(in: "").sorted() {
            result.append(top)
            for name in try expected.folders(in: top).sorted() { result.append("\(top)/\(name)") }
        }
        return result
    }

    /// Whether a folder's own entries changed since they were last checked.
    func hasChanged(_ folder: String) throws -> Bool {
        guard let status = try onDisk(folder) else { return true }
        return status.kind != .directory || max(status.changed, status.modified) >= threshold(folder)
    }

    private func threshold(_ folder: String) -> Int64 { max(threshold, lookedAt[folder] ?? .min) }

    mutating func look(into folder: String) throws {
        guard let wanted = try expected.children(of: folder) else { return }
        guard let status = try onDisk(folder), status.kind == .directory || folder.isEmpty,
            try !isBehindLink(folder)
        else {
            // The folder above reports it as removed or replaced; its files are still missing.
            for (name, node) in wanted where node == .file {
                drift.append(DriftedFile(path: join(folder, name), found: .removed, size: nil))
            }
            return
        }
        // From inside the folder each look goes one name deep.
        let inside = try FolderStream.open(place(folder))
        while let name = try inside?.next()?.name {
            if wanted[name] != nil { continue }
            if name.hasPrefix(LivePath.temporaryPrefix) {
                // A killed writer's leftovers: no reader sees them, and they are not drift.
                if sweeps { try Files.removeTree(place(join(folder, name))) }
                continue
            }
            if folder.isEmpty, name == "lost+found" { continue }
            try extra(join(folder, name))
        }
        let threshold = threshold(folder)
        for (name, node) in wanted {
            let found = try inside?.status(of: name)
            switch node {
            case .folder:
                if let found, found.kind != .directory {
                    drift.append(DriftedFile(path: join(folder, name), found: .replaced, size: nil))
                }
            case .file:
                filesSeen += 1
                if let found, found.kind == .file, found.permissions == 0o644, found.changed < threshold { continue }
                try lookAt(join(folder, name), found)
            }
        }
    }

    /// Whether a folder above it is a link: its target is not the live directory, and is not touched.
    private mutating func isBehindLink(_ folder: String) throws -> Bool {
        guard let slash = folder.lastIndex(of: "/") else { return false }
        let parent = String(folder[..<slash])
        if let known = links[parent] { return known }
        let isLink = try onDisk(parent)?.kind != .directory || isBehindLink(parent)
        links[parent] = isLink
        return isLink
    }

    /// Looks at a file that is not as it was when it was read last.
    private mutating func lookAt(_ path: String, _ status: FileStatus?) throws {
        guard let status else {
            drift.append(DriftedFile(path: path, found: .removed, size: nil))
            return
        }
        guard status.kind == .file else {
            drift.append(DriftedFile(path: path, found: .replaced, size: nil))
            return
        }
        if status.permissions != 0o644 {
            drift.append(DriftedFile(path: path, found: .mode, size: status.size))
            return
        }
        // Larger than anything that is published: not worth reading.
        guard status.size <= 1 << 26, let bytes = try Files.read(place(path), limit: 1 << 26) else {
            drift.append(DriftedFile(path: path, found: .edited, size: status.size))
            return
        }
        if try expected.matches(bytes, at: path) { return }
        let wanted = try expected.bytes(at: path)
        let isPart = bytes.count < wanted.count && wanted.starts(with: bytes)
        drift.append(DriftedFile(path: path, found: isPart ? .truncated : .edited, size: status.size))
    }

    private mutating func extra(_ path: String) throws {
        let found = try onDisk(path)
        if found?.kind == .directory, let names = try Files.list(place(path)),
            names.allSatisfy({ $0.hasPrefix(LivePath.temporaryPrefix) })
        {
            // A killed writer made the folder, but nothing in it yet that anybody reads.
            if sweeps {
                try Files.removeTree(place(path))
            }
            return
        }
        drift.append(
            DriftedFile(path: path, found: .added, size: found.flatMap { $0.kind == .file ? $0.size : nil })
        )
    }

    private func place(_ path: String) -> String { path.isEmpty ? root : "\(root)/\(path)" }
    private func join(_ folder: String, _ name: String) -> String { folder.isEmpty ? name : "\(folder)/\(name)" }
}
