import Glibc

extension Files {
    /// Removes whatever is at a path: a file, a link (not its target), a folder with all its contents.
    ///
    /// Names need not be text, and folders may be nested deeper than a path can express: inner folders are moved up
    /// beside each other, so that at most two handles are open. Other file systems mounted inside are left alone.
    ///
    /// - Throws: When something could not be removed; everything else has been removed by then. A missing path is not
    ///   an error.
    package static func removeTree(_ path: String) throws(SystemError) {
        if unsafe unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR { return }
        guard errno == EISDIR || errno == EPERM else {
            throw SystemError(code: errno, operation: "remove \(path)")
        }
        let root = try FileDescriptor(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, operation: "remove \(path)")
        var lifted = 0
        var isProgressing = true
        while isProgressing {
            isProgressing = false
            for name in try rawNames(in: root, path) where try removeEntry(name, in: root, &lifted) {
                isProgressing = true
            }
        }
        try attempt("remove \(path)") { unsafe rmdir(path) }
    }

    /// Removes what is in a folder under a name that is not UTF-8, by its displayed name.
    ///
    /// - Returns: Whether there was such a name.
    package static func removeUndecodable(_ shown: String, in folder: String) throws(SystemError) -> Bool {
        guard try status(folder)?.kind == .directory else { return false }
        let root = try FileDescriptor(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, operation: "list \(folder)")
        var lifted = 0
        var found = false
        for name in try rawNames(in: root, folder) {
            guard text(name) == shown else { continue }
            found = try removeEntry(name, in: root, &lifted) || found
        }
        return found
    }

    /// - Returns: Whether anything was removed.
    private static func removeEntry(
        _ name: [CChar],
        in root: borrowing FileDescriptor,
        _ lifted: inout Int
    ) throws(SystemError) -> Bool {
        if unsafe unlinkat(root.number, name, 0) == 0 { return true }
        let number = unsafe openat(root.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard number >= 0 else { return false }
        let folder = FileDescriptor(owning: number)
        var (here, above) = (stat(), stat())
        guard unsafe fstat(folder.number, &here) == 0, unsafe fstat(root.number, &above) == 0,
            here.st_dev == above.st_dev
        else { return false }
        var progress = false
        for child in try rawNames(in: folder, "a folder") {
            if unsafe unlinkat(folder.number, child, 0) == 0 {
                progress = true
                continue
            }
            lifted += 1
            if unsafe renameat(folder.number, child, root.number, ".ensign-\(getpid())-\(lifted)") == 0 {
                progress = true
            }
        }
        return unsafe unlinkat(root.number, name, AT_REMOVEDIR) == 0 || progress
    }

    /// A name for display: invalid UTF-8 is replaced.
    private static func text(_ name: [CChar]) -> String {
        String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The names in a folder as bytes with a final NUL, without `.` and `..`.
    private static func rawNames(in folder: borrowing FileDescriptor, _ path: String) throws(SystemError) -> [[CChar]] {
        let copy = unsafe openat(folder.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = unsafe fdopendir(copy) else {
            throw SystemError(code: errno, operation: "list \(path)")
        }
        defer { unsafe closedir(stream) }
        var names: [[CChar]] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { start in
                    unsafe Array(UnsafeBufferPointer(start: start, count: strlen(start) + 1))
                }
            }
            if ![".", ".."].contains(text(name)) { names.append(name) }
        }
        return names
    }
}
