import CSystem
package import Glibc

/// The status of a path.
package struct FileStatus: Sendable, Hashable {
    package enum Kind: Sendable, Hashable { case file, directory, symlink, other }

    package var kind: Kind
    package var size: Int64
    /// Nanoseconds since 1970; a stamp beyond 64 bits becomes the end of their range.
    package var modified: Int64
    /// When contents or metadata last changed, in nanoseconds since 1970; cannot be set by programs.
    package var changed: Int64
    package var permissions: UInt32
    package var owner: UInt32
    /// How many names a file has.
    package var links: UInt64
    package var inode: UInt64
    package var device: UInt64

    init(_ info: stat) {
        switch info.st_mode & S_IFMT {
        case S_IFREG: kind = .file
        case S_IFDIR: kind = .directory
        case S_IFLNK: kind = .symlink
        default: kind = .other
        }
        size = Int64(info.st_size)
        modified = info.st_mtim.nanoseconds
        changed = info.st_ctim.nanoseconds
        permissions = UInt32(info.st_mode & 0o7777)
        owner = info.st_uid
        links = UInt64(info.st_nlink)
        inode = UInt64(info.st_ino)
        device = UInt64(info.st_dev)
    }
}

/// Ensign's few file operations. "Missing" is nil; "unreadable" throws.
package enum Files {
    /// What may still be written in a folder, in bytes; nil where nobody knows.
    package static func freeBytes(_ folder: String) -> Int64? {
        var status = statvfs()
        guard unsafe statvfs(folder, &status) == 0 else { return nil }
        let (bytes, isMore) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return isMore ? .max : Int64(clamping: bytes)
    }

    /// What is at a path; a symbolic link is not followed. Nil when there is nothing.
    package static func status(_ path: String) throws(SystemError) -> FileStatus? {
        var info = stat()
        do {
            try attempt("look at \(path)") { unsafe lstat(path, &info) }
        } catch  where error.isMissing {
            return nil
        }
        return FileStatus(info)
    }

    /// A file's bytes; nil when there is none.
    package static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8]? {
        do {
            let file = try FileDescriptor(path, O_RDONLY, operation: "read \(path)")
            return try file.read(limit: limit, from: path)
        } catch  where error.isMissing {
            return nil
        }
    }

    /// One of Ensign's own small files; nil when there is none, or one too large to be Ensign's.
    package static func readOwn(_ path: String, limit: Int) throws(SystemError) -> [UInt8]? {
        do throws(SystemError) {
            // Never waits for a writer, even if somebody has put a pipe there.
            let file = try FileDescriptor(path, O_RDONLY | O_NONBLOCK, operation: "read \(path)")
            guard try file.isRegular(path) else { throw SystemError(code: EINVAL, operation: "read \(path) as a file") }
            return try file.read(limit: limit, from: path)
        } catch {
            guard error.code == EFBIG || error.isMissing else { throw error }
            return nil
        }
    }

    /// Names in a directory, sorted as bytes, without `.` and `..`; nil when there is none. What is not UTF-8 of a name is
    /// replaced: see ``entries(_:)``.
    package static func list(_ path: String) throws(SystemError) -> [String]? {
        try names(path)?.map { String(decoding: $0, as: UTF8.self) }
    }

    /// What is in a directory, with the bytes of its name, sorted by them; nil when there is none. What is removed meanwhile
    /// is left out.
    package static func entries(_ path: String) throws(SystemError) -> [(name: [UInt8], status: FileStatus)]? {
        guard let names = try names(path) else { return nil }
        var entries: [(name: [UInt8], status: FileStatus)] = []
        for name in names {
            var info = stat()
            let place = (Array(path.utf8) + [UInt8(ascii: "/")] + name + [0]).map { CChar(bitPattern: $0) }
            do {
                try attempt("look at \(path)/\(String(decoding: name, as: UTF8.self))") { unsafe lstat(place, &info) }
            } catch  where error.isMissing {
                continue
            }
            entries.append((name, FileStatus(info)))
        }
        return entries
    }

    private static func names(_ path: String) throws(SystemError) -> [[UInt8]]? {
        guard let directory = unsafe opendir(path) else {
            let error = SystemError(code: errno, operation: "list \(path)")
            if error.isMissing { return nil }
            throw error
        }
        defer { unsafe closedir(directory) }
        var names: [[UInt8]] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(directory) else {
                if errno != 0 { throw SystemError(code: errno, operation: "list \(path)") }
                break
            }
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe Array($0.prefix { $0 != 0 }) }
            if name != Array(".".utf8), name != Array("..".utf8) { names.append(name) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Makes a directory and those above it; existing ones stay as they are.
    ///
    /// - Parameter mode: Nil leaves it to the umask, as for all that people write.
    package static func makeDirectories(_ path: String, mode: mode_t? = 0o755) throws(SystemError) {
        if unsafe mkdir(path, mode ?? 0o777) == 0 {
            // The umask must not decide who can read the live directory or the keys.
            if let mode { _ = unsafe chmod(path, mode) }
            return
        }
        let code = errno
        if code == EEXIST {
            var info = stat()
            if unsafe stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR { return }
            throw SystemError(code: ENOTDIR, operation: "make the directory \(path)")
        }
        guard code == ENOENT, let parent = parent(of: path) else {
            throw SystemError(code: code, operation: "make the directory \(path)")
        }
        try makeDirectories(parent, mode: mode)
        try attempt("make the directory \(path)") { () -> Int32 in
            let status = unsafe mkdir(path, mode ?? 0o777)
            return status < 0 && errno == EEXIST ? 0 : status
        }
        if let mode { _ = unsafe chmod(path, mode) }
    }

    /// Makes a folder that this account alone can look into.
    ///
    /// - Parameters:
    ///   - folder: The folder that it lies in.
    ///   - prefix: How its name begins; the rest is drawn.
    /// - Returns: Its path.
    package static func makePrivateFolder(in folder: String, prefix: String) throws(SystemError) -> String {
        let path = "\(folder)/\(prefix)\(String(UInt64.random(in: .min ... .max), radix: 36))"
        // Never one that is there already: somebody else may have made it.
        try attempt("make the directory \(path)") { unsafe mkdir(path, 0o700) }
        return path
    }

    /// Writes a file so that readers see the old bytes or the new ones, never anything in between.
    ///
    /// - Parameters:
    ///   - mode: Nil leaves it to the umask, as for all that people write.
    ///   - durable: true waits for the disk, file and directory.
    package static func replace(
        _ path: String,
        with bytes: [UInt8],
        mode: mode_t? = 0o644,
        durable: Bool = true
    ) throws(SystemError) {
        let temporary = temporaryName(for: path)
        do throws(SystemError) {
            let file = try FileDescriptor(
                temporary,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                mode: mode ?? 0o666,
                operation: "write \(path)"
            )
            if let mode { try attempt("set the mode of \(path)") { fchmod(file.number, mode) } }
            try file.write(bytes, to: path)
            if durable { try file.sync(path) }
            try attempt("replace \(path)") { unsafe Glibc.rename(temporary, path) }
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
        if durable, let parent = parent(of: path) { try syncDirectory(parent) }
    }

    /// Writes over a file that is there, in the room that it has: neither atomic nor durable.
    package static func overwrite(_ path: String, with bytes: [UInt8]) throws(SystemError) {
        let file = try FileDescriptor(path, O_WRONLY | O_NOFOLLOW, operation: "write \(path)")
        try file.write(bytes, at: 0, to: path)
        try attempt("write \(path)") { ftruncate(file.number, off_t(bytes.count)) }
    }

    /// Renames a file over another.
    package static func rename(_ from: String, to path: String) throws(SystemError) {
        try attempt("rename \(from) to \(path)") { unsafe Glibc.rename(from, path) }
    }

    /// Gives a file another name, which must not exist.
    ///
    /// - Throws: ``SystemError``; `EEXIST` when it does, others where the file system knows no hard links.
    package static func link(_ from: String, to path: String) throws(SystemError) {
        try attempt("make \(path)") { unsafe Glibc.link(from, path) }
    }

    /// Adds a line or more to a file, which is made when there is none.
    package static func append(_ text: String, to path: String) throws(SystemError) {
        let file = try FileDescriptor(
            path,
            O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
            mode: 0o644,
            operation: "write \(path)"
        )
        try file.write(Array(text.utf8), to: path)
    }

    /// Creates a file that must not exist yet, whole and durable: nobody ever sees a piece of it, whatever happens.
    ///
    /// - Parameter mode: Nil leaves it to the umask, as for all that people write.
    /// - Returns: false when it does.
    package static func create(_ path: String, with bytes: [UInt8], mode: mode_t?) throws(SystemError) -> Bool {
        if try status(path) != nil { return false }
        let temporary = temporaryName(for: path)
        do throws(SystemError) {
            let file = try FileDescriptor(
                temporary,
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                mode: mode ?? 0o666,
                operation: "create \(path)"
            )
            if let mode { try attempt("set the mode of \(path)") { fchmod(file.number, mode) } }
            try file.write(bytes, to: path)
            try file.sync(path)
            try attempt("create \(path)") { renameNew(temporary, path) }
        } catch {
            _ = unsafe unlink(temporary)
            if error.code == EEXIST { return false }
            throw error
        }
        if let parent = parent(of: path) { try syncDirectory(parent) }
        return true
    }

    /// Renames a file to a name that must not exist; `errno` is `EEXIST` when it does.
    private static func renameNew(_ from: String, _ path: String) -> Int32 {
        let status = unsafe csystem_rename_new(from, path)
        guard status != 0, errno == EINVAL || errno == ENOSYS else { return status }
        // NFS knows hard links, and no rename that spares what is there.
        guard unsafe Glibc.link(from, path) == 0 else { return -1 }
        _ = unsafe unlink(from)
        return 0
    }

    /// Removes a file; a missing one is not an error.
    package static func remove(_ path: String) throws(SystemError) {
        do {
            try attempt("remove \(path)") { unsafe unlink(path) }
        } catch  where error.isMissing {
            return
        }
    }

    /// Removes an empty directory; a missing or filled one is left alone.
    package static func removeEmptyDirectory(_ path: String) {
        _ = unsafe rmdir(path)
    }

    /// Waits until a directory's entries are on the disk.
    package static func syncDirectory(_ path: String) throws(SystemError) {
        let directory = try FileDescriptor(path, O_RDONLY | O_DIRECTORY, operation: "sync \(path)")
        try directory.sync(path)
    }

    /// Whether this process may write in a directory.
    package static func isWritable(_ path: String) -> Bool { unsafe access(path, W_OK) == 0 }

    /// The directory above a path; nil for the root and for a name without one.
    package static func parent(of path: String) -> String? {
        var trimmed = Substring(path)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
        guard let slash = trimmed.lastIndex(of: "/"), trimmed != "/" else { return nil }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    /// A name beside `path` that nothing else uses, starting with `.ensign-`.
    package static func temporaryName(for path: String) -> String {
        let name = ".ensign-" + String(UInt64.random(in: .min ... .max), radix: 36)
        return parent(of: path).map { $0 == "/" ? "/\(name)" : "\($0)/\(name)" } ?? name
    }

    /// An absolute path with symbolic links resolved; nil when it does not exist.
    package static func canonical(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }
}
