import Glibc

/// How many files this process may have open.
package enum FileLimit {
    /// Takes as many as the system allows at all: what is set for people's programs is too few for a server of many
    /// connections. What is started from here on has it, too.
    package static func raise() {
        let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard unsafe getrlimit(kind, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(kind, &limit)
    }
}
