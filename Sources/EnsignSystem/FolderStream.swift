import Glibc

/// A folder that is listed on demand: it may hold more names than fit in memory.
///
/// For one thread. A folder inside another one is opened only by its own name, never through a symbolic link.
@safe
package final class FolderStream {
    private let stream: OpaquePointer
    private let name: String

    /// What the folder itself says about an entry; only ``status(of:)`` knows kinds other than `.directory`.
    package struct Entry: Sendable, Hashable {
        package var name: String
        /// Whether it may be a folder; false for a symbolic link to one.
        package var mayBeFolder: Bool
    }

    /// Opens a folder; a symbolic link at the path is followed.
    ///
    /// - Returns: Nil when there is none.
    package static func open(_ path: String) throws(SystemError) -> FolderStream? {
        try open(AT_FDCWD, path, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }

    /// Opens a folder inside this one.
    ///
    /// - Returns: Nil when there is none of that name, or a symbolic link.
    package func open(inside name: String) throws(SystemError) -> FolderStream? {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        return try Self.open(unsafe dirfd(stream), name, "\(self.name)/\(name)", flags)
    }

    private static func open(
        _ parent: Int32,
        _ path: String,
        _ name: String,
        _ flags: Int32
    ) throws(SystemError) -> FolderStream? {
        do throws(SystemError) {
            let number = try attempt("list \(name)") { unsafe openat(parent, path, flags) }
            guard let stream = unsafe fdopendir(number) else {
                let code = errno
                close(number)
                throw SystemError(code: code, operation: "list \(name)")
            }
            return unsafe FolderStream(stream, name)
        } catch {
            if error.isMissing || error.code == ELOOP { return nil }
            throw error
        }
    }

    private init(_ stream: OpaquePointer, _ name: String) {
        unsafe self.stream = stream
        self.name = name
    }

    deinit { unsafe closedir(stream) }

    /// The next name, in no order, without `.` and `..`; nil after the last one.
    package func next() throws(SystemError) -> Entry? {
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                if errno != 0 { throw SystemError(code: errno, operation: "list \(name)") }
                return nil
            }
            let kind = Int32(unsafe entry.pointee.d_type)
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            return Entry(name: name, mayBeFolder: kind == Int32(DT_DIR) || kind == Int32(DT_UNKNOWN))
        }
    }

    /// Begins again.
    package func rewind() { unsafe rewinddir(stream) }

    /// What is in the folder under a name; a symbolic link is not followed. Nil when there is nothing.
    package func status(of entry: String) throws(SystemError) -> FileStatus? {
        var info = stat()
        do {
            try attempt("look at \(name)/\(entry)") {
                unsafe fstatat(dirfd(stream), entry, &info, AT_SYMLINK_NOFOLLOW)
            }
        } catch  where error.isMissing {
            return nil
        }
        return FileStatus(info)
    }

    /// The folder's own status.
    package func status() throws(SystemError) -> FileStatus {
        var info = stat()
        try attempt("look at \(name)") { unsafe fstat(dirfd(stream), &info) }
        return FileStatus(info)
    }
}
