import Glibc

/// How many files this process may have open.
package enum FileLimit {
    /// Takes as many as the system allows at all: what is set for people's programs is too few for a server of many
    /// connections, and for a watch of many environments. What is started from here on has it, too.
    package static func raise() {
        guard var limit = current else { return }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(kind, &limit)
    }

    /// As many as may be open now; nil when the system does not say.
    package static var files: UInt? { current?.rlim_cur }

    private static let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)

    private static var current: rlimit? {
        var limit = rlimit()
        return unsafe getrlimit(kind, &limit) == 0 ? limit : nil
    }
}
