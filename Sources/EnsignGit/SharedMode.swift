import Glibc

/// `core.sharedRepository`: how git makes what it writes accessible to others (setup.c, `git_config_perm`; path.c,
/// `calc_shared_perm`). libgit2 knows it only when it makes a repository.
struct SharedMode: Hashable {
    /// The bits to add, or, when ``isExact``, the bits to have.
    private var bits: mode_t
    private var isExact: Bool

    /// Words, 1 and 2 add bits; any other number says exactly which bits there are, `0660` as well as `0640`.
    ///
    /// - Parameter text: The setting's value; nil when it is not set.
    /// - Returns: nil when the umask alone decides, and for what git refuses.
    init?(_ text: String?) {
        guard let text else { return nil }
        let (group, everybody): (mode_t, mode_t) = (0o660, 0o664)
        isExact = false
        switch text {
        case "umask", "": return nil
        case "group": bits = group
        case "all", "world", "everybody": bits = everybody
        default:
            guard let number = Int32(text, radix: 8) else {
                guard GitBoolean.value(text) == true else { return nil }
                bits = group
                return
            }
            switch number {
            case 0: return nil
            case 1: bits = group
            case 2: bits = everybody
            default:
                guard number & 0o600 == 0o600 else { return nil }
                (bits, isExact) = (mode_t(number & 0o666), true)
            }
        }
    }

    /// The mode that a file or a folder with this mode gets.
    func mode(_ old: mode_t, isFolder: Bool) -> mode_t {
        var tweak = bits
        if old & S_IWUSR == 0 { tweak &= ~0o222 }
        if old & S_IXUSR != 0 { tweak |= (tweak & 0o444) >> 2 }
        var new = isExact ? (old & ~0o777) | tweak : old | tweak
        if isFolder {
            new |= (new & 0o444) >> 2
            // Where the group may do nothing, it does not matter which one it is.
            if new & 0o060 != 0 { new |= S_ISGID }
        }
        return new
    }

    /// Gives what is at a path its mode. What this account does not own keeps its own: its owner has seen to it.
    func apply(to path: String) {
        var info = stat()
        guard unsafe lstat(path, &info) == 0, info.st_uid == geteuid() else { return }
        let (kind, isFolder) = (info.st_mode & S_IFMT, info.st_mode & S_IFMT == S_IFDIR)
        guard isFolder || kind == S_IFREG else { return }
        let (old, new) = (info.st_mode & 0o7777, mode(info.st_mode & 0o7777, isFolder: isFolder))
        if old != new { _ = unsafe chmod(path, new) }
    }
}

extension Repository {
    /// Gives a file that was written below the git directory git's mode, and the folders above it.
    ///
    /// - Parameter path: Relative to the git directory that all work trees share.
    package func share(_ path: String) {
        guard let shared = sharedMode else { return }
        var parts = path.split(separator: "/")
        while !parts.isEmpty {
            shared.apply(to: commonDirectory + parts.joined(separator: "/"))
            parts.removeLast()
        }
    }
}
