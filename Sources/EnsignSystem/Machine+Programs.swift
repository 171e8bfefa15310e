import Glibc

extension Machine {
    /// The file that a program's name leads to by PATH, absolute; a name with a slash is a path already, and stays.
    ///
    /// - Throws: ``SystemError`` with `ENOENT` when there is none, or `EACCES` when it cannot be run.
    package static func path(ofProgram name: String) throws(SystemError) -> String {
        guard !name.contains("/") else { return name }
        var isThere = false
        for folder in (environment("PATH") ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":") {
            let path = "\(folder)/\(name)"
            var info = stat()
            guard !name.isEmpty, unsafe stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFREG else { continue }
            isThere = true
            guard unsafe access(path, X_OK) == 0 else { continue }
            guard !path.hasPrefix("/") else { return path }
            // The program may begin in another folder. Its own links stay: a virtual environment is known by them.
            guard let here = unsafe realpath(".", nil) else { continue }
            defer { unsafe free(here) }
            return "\(unsafe String(cString: here))/\(path)"
        }
        throw SystemError(code: isThere ? EACCES : ENOENT, operation: "run \(name)")
    }
}
